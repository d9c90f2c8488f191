"""What a lesson asks of a student. Rule: plain values and judgements; it shows nothing and starts no process."""
