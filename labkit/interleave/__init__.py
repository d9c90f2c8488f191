"""All interleavings of small functions: explored, proved or replayed. Rule: standard library only, no processes."""
