"""SLO specs: OpenSLO v1 files in, plain values out."""
