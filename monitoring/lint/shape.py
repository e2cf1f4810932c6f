"""The types of what a dashboard says, and keys that no Grafana reads; relaxed: nothing is required here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitoring.dollars import escaped
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, mapping
from monitoring.lint.registry import CUSTOM_KEYS, OPTION_KEYS, QUERYING_PANELS, meant, near

RULES = Rules()

_LEAVES_NOTHING = 36
"""From this version on, changing a panel's kind removes what the new one does not know."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "whole": (int,),
    "switch": (bool,),
    "object": (dict,),
    "list": (list,),
}
"""A shape is a word of these, several joined by "|", a list of one shape, or an object of shapes by key."""

_THRESHOLDS = {"mode": "text", "steps": [{"color": "text"}]}
_DEFAULTS = {
    "unit": "text", "min": "number", "max": "number", "decimals": "number", "displayName": "text",
    "noValue": "text|number",
    "mappings": ["object"], "links": ["object"], "thresholds": _THRESHOLDS, "custom": "object",
    "color": {"mode": "text", "fixedColor": "text"}, "description": "text",
}  # fmt: skip
_TARGET = {
    "refId": "text", "expr": "text", "legendFormat": "text", "interval": "text", "hide": "switch", "instant": "switch",
    "range": "switch", "exemplar": "switch", "datasource": "text|object", "format": "text",
}  # fmt: skip
_PANEL: dict[str, Any] = {
    "id": "whole", "type": "text", "title": "text", "description": "text",
    "gridPos": {"x": "number", "y": "number", "w": "number", "h": "number"},

    "datasource": "text|object", "targets": [_TARGET], "options": "object", "repeat": "text",
    "repeatDirection": "text", "transparent": "switch", "collapsed": "switch", "pluginVersion": "text",
    "transformations": [{"id": "text", "options": "object"}], "libraryPanel": "object",
    "fieldConfig": {
        "defaults": _DEFAULTS,
        "overrides": [{"matcher": {"id": "text"}, "properties": [{"id": "text"}]}],
    },
}  # fmt: skip
_PANEL["panels"] = [_PANEL]
_BOARD: dict[str, Any] = {
    "uid": "text", "title": "text", "description": "text", "tags": ["text"], "timezone": "text",
    "schemaVersion": "whole", "version": "whole", "editable": "switch", "graphTooltip": "whole",
    "refresh": "text|switch", "time": {"from": "text|whole", "to": "text|whole"}, "timepicker": "object",
    "links": [{"title": "text", "url": "text", "tags": "list|text", "type": "text"}],
    "templating": {"list": [{"name": "text", "type": "text", "label": "text", "multi": "switch", "includeAll": "switch",
                             "regex": "text", "hide": "whole", "options": ["object"]}]},
    "annotations": {"list": [{"name": "text", "enable": "switch", "expr": "text"}]},
    "panels": [_PANEL], "rows": [{"panels": ["object"], "title": "text"}],
}  # fmt: skip


@RULES.rule("json-shape", Severity.ERROR, "Grafana fails on, or leaves out, what has another type than it expects.")
def types(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Values of a type that Grafana does not read there; what is absent or null is no concern of this rule."""
    yield from _wrong(board.json, _BOARD, "")


def _wrong(value: object, shape: Any, pointer: str) -> Iterator[Hit]:
    if value is None:
        return
    if isinstance(shape, str):
        if not any(_is(value, word) for word in shape.split("|")):
            # An empty list is how some languages write an empty object.
            severity = Severity.WARNING if value in ([], {}) or (value == "" and "number" in shape) else None
            yield Hit(pointer, f"expected {shape.replace('|', ' or ')}, found {_shown(value)}", severity)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield Hit(pointer, f"expected a list, found {_shown(value)}")
            return
        for i, one in enumerate(value):
            if one is None:
                yield Hit(f"{pointer}/{i}", "a list with nothing in this place")
            yield from _wrong(one, shape[0], f"{pointer}/{i}")
    elif not isinstance(value, dict):
        yield Hit(pointer, f"expected an object, found {_shown(value)}", Severity.WARNING if value == [] else None)
    else:
        for key, one in shape.items():
            yield from _wrong(value.get(key), one, f"{pointer}/{escaped(key)}")


def _is(value: object, word: str) -> bool:
    if word in ("number", "whole") and isinstance(value, bool):
        return False
    if word == "whole" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[word])


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 40 else f"{shown[:40]}…"


_BOARD_KEYS = frozenset({
    "__elements", "__inputs", "__requires", "__dependencies", "annotations", "description", "editable",
    "fiscalYearStartMonth", "graphTooltip", "id", "links", "liveNow", "panels", "preload", "refresh", "revision",
    "schemaVersion", "snapshot", "tags", "templating", "time", "timepicker", "timezone", "title", "uid", "version",
    "weekStart", "$schema",
})  # fmt: skip
_BOARD_LEGACY = frozenset({
    "gnetId", "hideControls", "iteration", "originalTitle", "rows", "sharedCrosshair", "style", "meta", "folderId",
    "folderUid", "folder", "overwrite", "message", "inputs", "nav", "services", "loader", "slug", "public",
    "scopeMeta", "hideAllLegends", "id_", "dashboard", "autoRefresh", "_comment", "__comment", "created", "updated",
    "createdBy", "updatedBy", "isStarred", "failover", "pluginId", "analyticsDisabled", "timepickerV2", "_args", "auth",
})  # fmt: skip
_PANEL_KEYS = frozenset({
    "cacheTimeout", "datasource", "description", "fieldConfig", "gridPos", "hideTimeOverride", "id", "interval",
    "libraryPanel", "links", "maxDataPoints", "maxPerRow", "options", "pluginVersion", "queryCachingTTL", "repeat",
    "repeatDirection", "targets", "timeCompare", "timeFrom", "timeShift", "title", "transformations", "transparent",
    "type", "panels", "collapsed",
})  # fmt: skip
_PANEL_LEGACY = frozenset({
    "alert", "aliasColors", "bars", "cards", "color", "colorBackground", "colorPostfix", "colorPrefix", "colorValue",
    "colors", "columns", "content", "dashLength", "dashes", "dataFormat", "decimals", "displayMode", "editable",
    "error",     "fill", "fillGradient", "fontSize", "format", "gauge", "grid", "height", "heatmap", "hiddenSeries",
    "hideZeroBuckets", "highlightCards", "isNew", "leftYAxisLabel", "legend", "lines", "linewidth", "mappingType",
    "mappingTypes", "max", "min", "minSpan", "mode", "nullPointMode", "nullText", "pageSize", "percentage",
    "pointradius", "points", "postfix", "postfixFontSize", "prefix", "prefixFontSize", "rangeMaps", "renderer",
    "repeatIteration", "repeatPanelId", "repeatedByRow", "reverseYBuckets", "rightYAxisLabel", "scopedVars", "scroll",
    "seriesOverrides", "showHeader", "showTitle", "sort", "sortBy", "spaceLength", "span", "sparkline", "stack",
    "steppedLine", "styles", "tableColumn", "thresholds", "thresholdType", "timeRegions", "titleSize", "tooltip",
    "tooltipDecimals", "transform", "valueFontSize", "valueMaps", "valueName", "xAxis", "xBucketNumber", "xBucketSize",
    "x-axis", "y-axis", "xaxis", "yAxis", "yBucketBound", "yBucketNumber", "yBucketSize", "y_formats", "yaxes", "yaxis",
    "tags", "url", "uid", "headings", "limit", "query", "recent", "search", "starred", "hideLegend",
    "animationModes", "showValues", "orientation", "mappings", "unit", "overrides", "values", "key", "savedTargets",
    "snapshotData", "cornerRadius", "hasRefreshed", "isEditing", "isViewing", "plugin", "events", "version",
})  # fmt: skip
_TARGET_KEYS = frozenset({
    "datasource", "editorMode", "exemplar", "expr", "format", "hide", "instant", "interval", "intervalFactor",
    "legendFormat", "range", "refId", "step", "metric", "target", "textEditor", "rawQuery", "resultFormat", "query",
    "queryType", "key", "intervalMs", "maxDataPoints", "legendLink", "hideZeroBuckets", "disableTextWrap",
    "fullMetaSearch", "includeNullMetadata", "useBackend", "adhocFilters", "requestId", "utcOffsetSec", "orderByTime",
    "policy", "groupBy", "measurement", "select", "tags", "dsType", "functions", "group", "host", "item", "mode",
    "options", "application", "alias", "aggregation", "bucketAggs", "metrics", "timeField", "hideAlias", "fill",
    "calculatedInterval", "datasourceErrors", "errors", "$$hashKey", "prometheusQueryType", "scopes", "filters",
})  # fmt: skip
_DEFAULTS_KEYS = frozenset(_DEFAULTS) | {
    "actions", "displayNameFromDS", "fieldMinMax", "filterable", "nullValueMode", "path", "title", "writeable", "type",
    "unitScale",
}  # fmt: skip


@RULES.rule("unknown-key", Severity.WARNING, "What Grafana does not read is ignored, however well it is meant.")
def unknown(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Keys that neither today's nor older Grafanas know; of panels only those of today's kinds."""
    yield from _keys(board.json, _BOARD_KEYS, _BOARD_LEGACY, "")
    version = board.json.get("schemaVersion")
    # Whoever changed a panel's kind in an older Grafana kept what the other kind had left there.
    severity = Severity.NOTE if isinstance(version, int) and version < _LEAVES_NOTHING else None
    for panel in board.panels:
        if panel.type not in QUERYING_PANELS:
            continue
        yield from _keys(panel.json, _PANEL_KEYS, _PANEL_LEGACY, panel.pointer, severity)
        yield from _keys(panel.defaults, _DEFAULTS_KEYS, frozenset(), f"{panel.pointer}/fieldConfig/defaults")
        for place, known in (("options", OPTION_KEYS), ("fieldConfig/defaults/custom", CUSTOM_KEYS)):
            inside: Any = panel.json
            for step in place.split("/"):
                inside = mapping(mapping(inside).get(step))
            # Panels of plugins and of the next Grafana have more; what is nearly known is a slip.
            slips = {key: value for key, value in inside.items() if key not in known and near(key, known)}
            yield from _keys(slips, known, frozenset(), f"{panel.pointer}/{place}")
        config = mapping(panel.json.get("fieldConfig"))
        yield from _keys(config, frozenset({"defaults", "overrides"}), frozenset(), f"{panel.pointer}/fieldConfig")
        for target in panel.targets:
            if target.expr is not None:
                yield from _keys(target.json, _TARGET_KEYS, frozenset(), target.pointer, severity)


def _keys(
    value: Mapping[str, Any],
    known: frozenset[str],
    legacy: frozenset[str],
    pointer: str,
    severity: Severity | None = None,
) -> Iterator[Hit]:
    for key in value:
        if key in known or key in legacy:
            continue
        guess = meant(key, known - value.keys())
        yield Hit(
            f"{pointer}/{escaped(key)}",
            f"no Grafana reads the key {key!r} here{guess}",
            None if guess else severity,
        )


@RULES.rule(
    "legacy-key", Severity.NOTE, "Grafana rewrites it when it loads the board, so what you see is not what you wrote."
)
def legacy(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Keys of older Grafanas in panels of today's kinds."""
    for panel in board.panels:
        if panel.type in QUERYING_PANELS and (found := sorted(panel.json.keys() & (_PANEL_LEGACY - _PANEL_KEYS))):
            yield Hit(panel.pointer, f"of older Grafanas: {', '.join(found)}")
