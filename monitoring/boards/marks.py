"""Marks over the panels: on every board what fired and what was deployed, and what a board adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitoring.boards.model import Annotation, Board
from monitoring.boards.parts import firing
from monitoring.errors import BoardError
from monitoring.promql import Matcher
from monitoring.signals import deploys

_ALERT_TAGS = ("severity", "service", "instance")
_COLORS = (("page", "red"), ("ticket", "orange"))


def _alerts(name: str, color: str, *severity: Matcher) -> Annotation:
    return Annotation(name, str(firing(severity)), color, "{{alertname}}", "{{slo_id}} {{tier}}", _ALERT_TAGS)


DEFAULTS = (
    *(_alerts(f"Alerts: {severity}", color, Matcher("severity", "=", severity)) for severity, color in _COLORS),
    _alerts("Alerts: other", "yellow", Matcher("severity", "!~", "|".join(severity for severity, _ in _COLORS))),
    Annotation(
        "Deploys",
        # An annotation's time is in milliseconds.
        f"1000 * {deploys.DEPLOYED.name}",
        "blue",
        "Deployed {{service}} {{version}}",
        "to {{environment}}, by {{author}}",
        ("service", "environment"),
        at_value=True,
    ),
)
"""On every board: alerts that mean something, in the colour of how loud they are, and deploys at their own time."""

_BUILT_IN = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}
"""What people write into Grafana itself; it adds this to boards that lack it, and then they differ from their file."""


def of_board(board: Board, datasource: dict[str, str]) -> list[dict[str, Any]]:
    """Every annotation of a board as Grafana asks Prometheus for it. Raises BoardError for two of one name."""
    wanted: Sequence[Annotation] = (*DEFAULTS, *board.annotations)
    names = [one.name for one in wanted]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BoardError(f"the board {board.uid} has two annotations named {', '.join(sorted(twice))}")
    return [_BUILT_IN, *(_annotation(one, datasource) for one in wanted)]


def _annotation(one: Annotation, datasource: dict[str, str]) -> dict[str, Any]:
    return {
        "datasource": datasource,
        "enable": True,
        "expr": one.expr,
        "hide": False,
        "iconColor": one.color,
        "name": one.name,
        "tagKeys": ",".join(one.tags),
        "textFormat": one.text,
        "titleFormat": one.title,
        "useValueForTime": one.at_value,
    }
