"""Configuration of Prometheus and Alertmanager, held to what Debian 12 ships (2.42 and 0.25)."""
