"""The SLO platform: one set of specs in, rules, alerts, dashboards and probes out.

It knows the messenger only as a client and by its metric names; nothing here
imports `app`.
"""
