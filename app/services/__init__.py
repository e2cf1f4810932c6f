"""What the messenger does. Services own the transactions; events leave after the commit."""
