"""By which files Grafana finds its data source and the boards, and a board for those who import by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitoring.boards import grafana
from monitoring.boards.links import Runbook
from monitoring.boards.model import Board
from monitoring.boards.shapes import PLUGIN_VERSION
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


_INPUT = "DS_PROMETHEUS"
_UID_CHARS = 40
"""As many as Grafana takes."""


def importable(board: Board, runbook: Runbook) -> bytes:
    """The board for Grafana's import page, which asks for the data source; raises BoardError as `grafana.dashboard`.

    It has a uid and a title of its own: where it lies beside the others and is provisioned with them, Grafana
    would only log that two boards are the same, and show either.
    """
    suffix = "-import"
    own = replace(board, uid=board.uid[: _UID_CHARS - len(suffix)] + suffix, title=f"{board.title} (imported)")
    made = grafana.as_json(own, runbook)
    for variable in made["templating"]["list"]:
        if variable["type"] == "datasource":
            variable["current"] = {"text": f"${{{_INPUT}}}", "value": f"${{{_INPUT}}}"}
    return grafana.canonical(made | {"__inputs": [_input()], "__requires": _requires(made), "__elements": {}})


def _input() -> dict[str, str]:
    return {
        "name": _INPUT,
        "label": "Prometheus",
        "description": "The Prometheus that scrapes the service and evaluates its rules",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }


def _requires(made: dict[str, Any]) -> list[dict[str, str]]:
    kinds = sorted({panel["type"] for panel in made["panels"]} - {"row"})
    return [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": PLUGIN_VERSION},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *({"type": "panel", "id": kind, "name": kind.capitalize(), "version": ""} for kind in kinds),
    ]
