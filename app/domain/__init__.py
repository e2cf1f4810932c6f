"""Plain values of the messenger; no input, no output, no clock."""
