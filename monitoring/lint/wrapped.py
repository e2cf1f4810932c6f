"""Which part of a JSON value is the dashboard."""

from __future__ import annotations

from monitoring.lint.model import Json


def board_in(value: object) -> tuple[Json, str] | None:
    """The dashboard and its JSON pointer: bare, or as Grafana's API wraps it; None when it is no dashboard.

    >>> board_in({"panels": []}), board_in({"dashboard": {"title": "a"}, "meta": {}}), board_in({"groups": []})
    (({'panels': []}, ''), ({'title': 'a'}, '/dashboard'), None)
    """
    if not isinstance(value, dict):
        return None
    if any(isinstance(value.get(key), list) for key in ("panels", "rows")):
        return value, ""
    inner = value.get("dashboard")
    return (inner, "/dashboard") if isinstance(inner, dict) else None
