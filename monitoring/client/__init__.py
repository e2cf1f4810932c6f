"""A client of the messenger: what probes, demo traffic and tests speak through. It knows only the protocol."""
