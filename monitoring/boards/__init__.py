"""Dashboards as code: boards are plain values, Grafana's JSON is made from them at the end."""
