"""Asking a Prometheus: a small client, and what its recorded slices and alerts mean as plain values."""
