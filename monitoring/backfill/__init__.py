"""Slices that were not recorded, computed from raw data and written as blocks of Prometheus' database."""
