"""Two states of the specs side by side: what a change does to detection and budget."""
