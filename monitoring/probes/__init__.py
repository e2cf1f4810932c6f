"""Probes: what a user would notice, measured from outside the messenger."""
