"""Any file that has to do with objectives, told apart by what it is and judged."""
