"""Whether a Grafana dashboard, whoever wrote it, shows what it means to show.

`run.lint` is the way in. `read` turns any dashboard's JSON into panels, queries and
variables with their JSON pointers; each module of rules judges one concern and knows
no other. Everything here is pure: what a live Prometheus knows is passed in.
"""
