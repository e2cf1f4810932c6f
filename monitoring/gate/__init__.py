"""A gate for pipelines: whether the error budget allows another risk."""
