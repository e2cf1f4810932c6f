"""Turns what grafanalib 0.7.1 writes into what Grafana's schema 42 reads.

Its defects that touch us: the schema version 12, whose migrations overwrite settings;
the first threshold as the text "null", with which no threshold ever shows; coarse
queries (maxDataPoints 100, intervalFactor 2, step 10); keys of Grafana 4 to 7; nulls
where a key should be absent. What is kept is listed; anything else is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

SCHEMA_VERSION = 42

_DASHBOARD = {
    "annotations", "description", "editable", "graphTooltip", "links", "panels", "refresh", "schemaVersion",
    "tags", "templating", "time", "timepicker", "timezone", "title", "uid",
}  # fmt: skip
_PANEL = {
    "datasource", "description", "fieldConfig", "gridPos", "id", "options", "targets", "title", "type",
}  # fmt: skip
_TARGET = {"datasource", "expr", "legendFormat", "refId"}
_VARIABLE = {
    "allValue", "current", "datasource", "definition", "hide", "includeAll", "label", "multi", "name", "options",
    "query", "refresh", "regex", "sort", "type",
}  # fmt: skip
_TIME_PICKER = {"refresh_intervals"}


def normalise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A dashboard of schema 42: listed keys only, thresholds that work, no nulls but a base threshold's."""
    kept = _keep(raw, _DASHBOARD)
    kept["schemaVersion"] = SCHEMA_VERSION
    kept["timepicker"] = _keep(raw["timepicker"], _TIME_PICKER)
    kept["templating"] = {"list": [_variable(v) for v in raw["templating"]["list"]]}
    kept["panels"] = [_panel(p) for p in raw["panels"]]
    return kept


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
    kept = _keep(raw, _PANEL)
    kept["targets"] = [_keep(target, _TARGET) | {"range": True, "instant": False} for target in raw["targets"]]
    defaults = kept["fieldConfig"]["defaults"]
    defaults["thresholds"] = _thresholds(raw["fieldConfig"]["defaults"]["thresholds"])
    defaults.setdefault("color", {"mode": "thresholds"})
    custom = defaults["custom"]
    if custom.get("scaleDistribution", {}).get("type") == "linear":
        custom["scaleDistribution"] = {"type": "linear"}
    if legend := kept["options"].get("legend"):
        legend["showLegend"] = legend["displayMode"] != "hidden"
    return kept


def _thresholds(raw: Mapping[str, Any]) -> dict[str, Any]:
    # The base step's null stands for minus infinity, which JSON cannot write: the one null the schema wants.
    steps = [
        {"color": step["color"], "value": None if i == 0 else _tidy(step["value"])}
        for i, step in enumerate(raw["steps"])
    ]
    return {"mode": raw["mode"], "steps": steps}
