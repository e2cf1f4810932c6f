"""Running the platform on a machine: the development stack here, and what production needs beside it."""
