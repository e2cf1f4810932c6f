"""The two files by which Grafana finds its data source and the boards."""

from __future__ import annotations

from monitoring.generatedyaml import dump, made_from
from monitoring.maths.durations import Duration


def datasource(prometheus_url: str, scrape_interval: Duration) -> bytes:
    """The Prometheus data source; its uid is what boards choose when they open.

    `timeInterval` tells Grafana the scrape interval, from which $__rate_interval follows.
    """
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus_url,
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": str(scrape_interval), "httpMethod": "POST"},
    }
    return dump({"apiVersion": 1, "datasources": [source]}, made_from("monitoring.yaml"))


def provider(service: str, folder_path: str) -> bytes:
    """Where Grafana looks for the board files, and the folder it shows them in."""
    provider_ = {
        "name": service,
        "folder": service.capitalize(),
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": folder_path},
    }
    return dump({"apiVersion": 1, "providers": [provider_]}, made_from("monitoring.yaml"))
