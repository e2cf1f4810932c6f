"""Turns what grafanalib 0.7.1 writes into what Grafana's schema 42 reads.

Its defects that touch us: the schema version 12, whose migrations overwrite settings;
the first threshold as the text "null", with which no threshold ever shows; coarse
queries (maxDataPoints 100, intervalFactor 2, step 10); gauges, bar gauges and heatmaps
in shapes of Grafana 4 to 7; nulls where a key should be absent. What is kept is listed,
here and in `shapes`; anything else is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from monitoring.boards.shapes import PLUGIN_VERSION, SHAPES, merged
from monitoring.errors import BoardError

SCHEMA_VERSION = 42

_DASHBOARD = {
    "annotations", "description", "editable", "graphTooltip", "links", "refresh",
    "tags", "time", "timezone", "title", "uid",
}  # fmt: skip
_PANEL = {
    "datasource", "description", "gridPos", "id", "links", "title", "transformations", "type",
}  # fmt: skip
_ROW = {"collapsed", "gridPos", "id", "panels", "title", "type"}
_TARGET = {"datasource", "exemplar", "expr", "instant", "legendFormat", "refId"}
_VARIABLE = {
    "allValue", "current", "datasource", "hide", "includeAll", "label", "multi", "name", "options",
    "query", "refresh", "regex", "sort", "type",
}  # fmt: skip
_DEFAULTS = {"color", "decimals", "displayName", "mappings", "max", "min", "noValue", "unit"}
_TIME_PICKER = {"refresh_intervals"}
_STEP = {"color", "value"}


def normalise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A dashboard of schema 42: listed keys only, thresholds that work, no nulls but a base threshold's.

    Raises BoardError for a panel type that `shapes` does not know.
    """
    return _keep(raw, _DASHBOARD) | {
        "panels": [_panel(panel) for panel in raw["panels"]],
        "schemaVersion": SCHEMA_VERSION,
        "templating": {"list": [_variable(v) for v in raw["templating"]["list"]]},
        "timepicker": _keep(raw["timepicker"], _TIME_PICKER),
    }


def _keep(raw: Mapping[str, Any], keys: Set[str]) -> dict[str, Any]:
    return {key: _tidy(value) for key, value in raw.items() if key in keys and value is not None}


def _tidy(value: Any) -> Any:
    """Without nulls; 1.0 is written 1."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _variable(raw: Mapping[str, Any]) -> dict[str, Any]:
    kept = _keep(raw, _VARIABLE)
    if kept["type"] == "datasource":
        # Its choices come from Grafana itself: no sorting, no refresh on load.
        return {key: value for key, value in kept.items() if key != "sort"}
    return kept


def _panel(raw: Mapping[str, Any]) -> dict[str, Any]:
    if raw["type"] == "row":
        return _keep(raw, _ROW)
    if raw["type"] not in SHAPES:
        raise BoardError(f"the panel {raw.get('title')!r} is a {raw['type']}; there is {', '.join(sorted(SHAPES))}")
    shape, old = SHAPES[raw["type"]], _before_7(raw)
    config = raw.get("fieldConfig") or {}
    given = old["defaults"] | {key: value for key, value in config.get("defaults", {}).items() if value is not None}
    kept = {key: value for key, value in _keep(raw, _PANEL).items() if value or key not in ("links", "transformations")}
    return kept | {
        "fieldConfig": {
            "defaults": {"color": {"mode": shape.color}, "mappings": [], **_keep(given, _DEFAULTS)}
            | {
                "custom": _tidy(merged(shape.custom, given.get("custom") or {}, shape.extra)),
                "thresholds": _thresholds(given.get("thresholds") or {}),
            },
            "overrides": [_override(one) for one in config.get("overrides") or ()],
        },
        "options": _tidy(merged(shape.options, old["options"] | _dictionary(raw.get("options")))),
        "pluginVersion": PLUGIN_VERSION,
        "targets": [_target(target, shape.format) for target in raw["targets"]],
    }


def _before_7(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Where grafanalib's gauges and table put what belongs into the field config and the options today."""
    config, options = raw.get("fieldConfig") or {}, _dictionary(raw.get("options"))
    fields = options.get("fieldOptions") or {}  # the bar gauge's
    defaults = {**(fields.get("defaults") or {})}
    for key in ("mappings", "color"):
        if found := fields.get(key) or raw.get(key):
            defaults[key] = found
    if raw["type"] == "heatmap":
        defaults.pop("color", None)  # a scheme of cells, not a field's colour
    calcs = fields.get("calcs") or (config.get("defaults") or {}).get("calcs")
    moved = {key: config[key] for key in ("showThresholdLabels", "showThresholdMarkers") if key in config}
    return {"defaults": defaults, "options": moved | ({"reduceOptions": {"calcs": calcs}} if calcs else {})}


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}  # the heatmap's are an empty list


def _target(raw: Mapping[str, Any], format_: str) -> dict[str, Any]:
    instant = bool(raw.get("instant"))
    kept = _keep(raw, _TARGET) | {"format": format_, "instant": instant, "range": not instant}
    if not kept.get("exemplar"):
        kept.pop("exemplar", None)
    return kept


def _override(raw: Mapping[str, Any]) -> dict[str, Any]:
    properties = [
        {"id": one["id"], "value": _thresholds(one["value"]) if one["id"] == "thresholds" else _tidy(one["value"])}
        for one in raw["properties"]
    ]
    return {"matcher": _tidy(raw["matcher"]), "properties": properties}


def _thresholds(raw: Mapping[str, Any]) -> dict[str, Any]:
    # The base step's null stands for minus infinity, which JSON cannot write: the one null the schema wants.
    # Without a step Grafana draws grey, and its tables of version 11 are said to fail.
    steps = raw.get("steps") or [{"color": "green"}]
    return {
        "mode": raw.get("mode") or "absolute",
        "steps": [_keep(step, _STEP) | ({"value": None} if i == 0 else {}) for i, step in enumerate(steps)],
    }
