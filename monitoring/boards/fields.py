"""How values look: thresholds, mappings and overrides as Grafana's field config, and what contradicts itself there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from monitoring.boards.model import Override, Panel, Query, Step
from monitoring.errors import BoardError
from monitoring.maths.decimals import plain

_DASHES = (10, 10)


def defaults(panel: Panel) -> dict[str, Any]:
    """What holds for every series of a panel but its thresholds. Raises BoardError for limits the wrong way round."""
    low, high = panel.minimum, panel.maximum
    if low is not None and high is not None and low >= high:
        raise BoardError(f"{panel.key}: the minimum {plain(low)} is not below the maximum {plain(high)}")
    # grafanalib takes only whole numbers for an axis, and no decimals at all on some panels.
    limits = {
        "min": None if low is None else float(low),
        "max": None if high is None else float(high),
        "decimals": panel.decimals,
    }
    present = {name: value for name, value in limits.items() if value is not None}
    return {"unit": panel.unit, "mappings": mappings(panel), **present}


def thresholds(steps: Iterable[Step], key: str) -> list[dict[str, Any]]:
    """Steps of which only the first has no value, and the others rise; else raises BoardError."""
    steps = tuple(steps)
    values = [step.value for step in steps[1:]]
    if not steps or steps[0].value is not None:
        raise BoardError(f"{key}: the first threshold has no value: it holds from the bottom")
    if any(value is None for value in values):
        raise BoardError(f"{key}: only the first threshold is without a value")
    if any(b <= a for a, b in pairwise(v for v in values if v is not None)):
        raise BoardError(f"{key}: thresholds must rise, found {', '.join(plain(v) for v in values if v is not None)}")
    return [{"color": step.color, "value": None if step.value is None else float(step.value)} for step in steps]


def mappings(panel: Panel) -> list[dict[str, Any]]:
    """Grafana's value mappings; a value can have one text only."""
    options: dict[str, dict[str, Any]] = {}
    for i, one in enumerate(panel.mappings):
        value = plain(one.value)
        if value in options:
            raise BoardError(f"{panel.key}: the value {value} is mapped twice")
        options[value] = {"index": i, "text": one.text} | ({"color": one.color} if one.color else {})
    return [{"type": "value", "options": options}] if options else []


def overrides(panel: Panel) -> list[dict[str, Any]]:
    """What differs for single series. Raises BoardError for a name that no query's legend can give."""
    return [_override(panel, one) for one in panel.overrides]


def _override(panel: Panel, one: Override) -> dict[str, Any]:
    if not one.pattern and not any(_may_be_called(query, one.series, panel) for query in panel.queries):
        raise BoardError(f"{panel.key}: an override names the series {one.series!r}, which no query is called")
    properties: list[dict[str, Any]] = []
    if one.color:
        properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": one.color}})
    if one.unit:
        properties.append({"id": "unit", "value": one.unit})
    if one.dashed:
        if panel.kind != "timeseries":
            raise BoardError(f"{panel.key}: only lines can be dashed, not a {panel.kind}")
        properties.append({"id": "custom.lineStyle", "value": {"fill": "dash", "dash": list(_DASHES)}})
    if one.steps:
        steps = thresholds(one.steps, f"{panel.key}, override {one.series}")
        properties.append({"id": "thresholds", "value": {"mode": "absolute", "steps": steps}})
        if panel.kind == "table":
            properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if not properties:
        raise BoardError(f"{panel.key}: the override of {one.series!r} changes nothing")
    return {"matcher": matcher(one.series, pattern=one.pattern), "properties": properties}


def _may_be_called(query: Query, name: str, panel: Panel) -> bool:
    return query.legend == name or "{{" in query.legend or (panel.kind == "table" and name in panel.columns)


def matcher(name: str, *, pattern: bool = False) -> dict[str, Any]:
    """Grafana's way to name series; a pattern stands between slashes there."""
    return {"id": "byRegexp", "options": f"/{name}/"} if pattern else {"id": "byName", "options": name}
