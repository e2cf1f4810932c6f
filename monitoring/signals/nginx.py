"""nginx as Debian's exporter (0.11) tells of it, from stub_status: connections and a count of requests, no more."""

from __future__ import annotations

from monitoring.signals.kinds import Counter, Gauge

JOB = "nginx"

UP = Gauge("nginx_up", "1 while the exporter reaches nginx")
ACTIVE = Gauge("nginx_connections_active", "Connections open")
READING = Gauge("nginx_connections_reading", "Connections whose request is being read")
WRITING = Gauge("nginx_connections_writing", "Connections that are answered, WebSockets among them")
IDLE = Gauge("nginx_connections_waiting", "Connections kept open without a request")
ACCEPTED = Counter("nginx_connections_accepted", "Connections accepted")
HANDLED = Counter("nginx_connections_handled", "Connections handled")
REQUESTS = Counter("nginx_http_requests_total", "Requests")
