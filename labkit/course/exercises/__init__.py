"""The exercises of the lessons, one per file: stub, solution, wrong answers, probes. Rule: judged by exploring."""
