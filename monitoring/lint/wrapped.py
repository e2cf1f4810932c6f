"""Which part of a JSON value is the dashboard."""

from __future__ import annotations

from monitoring.lint.model import Json


def board_in(value: object) -> tuple[Json, str] | None:
    """The dashboard and its JSON pointer; None when it is no dashboard.

    It is bare, as Grafana's API wraps it, or a resource of Grafana 12. One whose panels are
    no list, or that has none yet, is a dashboard all the same.

    >>> board_in({"panels": []}), board_in({"dashboard": {"title": "a"}, "meta": {}}), board_in({"groups": []})
    (({'panels': []}, ''), ({'title': 'a'}, '/dashboard'), None)
    """
    if not isinstance(value, dict):
        return None
    inner = value.get("dashboard")
    if isinstance(inner, dict) and "panels" not in value:
        return inner, "/dashboard"
    if value.get("kind") == "Dashboard" and str(value.get("apiVersion", "")).startswith("dashboard.grafana.app/"):
        spec = value.get("spec")
        return (spec if isinstance(spec, dict) else {}), "/spec"
    if any(isinstance(value.get(key), list) for key in ("panels", "rows")):
        return value, ""
    begun = "panels" in value or "templating" in value
    return (value, "") if begun and {"schemaVersion", "templating", "uid"} & value.keys() else None
