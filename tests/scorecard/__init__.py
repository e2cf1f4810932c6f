"""What the board linter finds, misses and wrongly flags: defects people make, in boards of several styles."""
