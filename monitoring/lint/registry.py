"""What Grafana knows by name: its registries, and the panel types and variables it comes with.

`grafana.json` is printed from the pinned `@grafana/data` by `npm run registry` in
monitoring/preview/web; the rest of this module no package tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files

_TOLD = json.loads((files(__package__) / "grafana.json").read_text())

VERSION: str = _TOLD["version"]
UNITS = frozenset(_TOLD["units"])
REDUCERS = frozenset(_TOLD["reducers"]) | {"total", "null", "zero"}
FIELD_MATCHERS = frozenset(_TOLD["fieldMatchers"])
TRANSFORMATIONS = frozenset(_TOLD["transformations"]) | {"seriesToColumns"}
COLOR_MODES = frozenset(_TOLD["colorModes"])

SCHEMA_VERSION = 42

QUERYING_PANELS = frozenset({
    "barchart", "bargauge", "candlestick", "gauge", "heatmap", "histogram", "logs", "piechart", "stat",
    "state-timeline", "status-history", "table", "timeseries", "trend", "xychart",
})  # fmt: skip
"""Core panels that show nothing without a query."""

ANGULAR_PANELS = frozenset({"graph", "singlestat", "table-old", "grafana-piechart-panel", "grafana-worldmap-panel"})
"""Panels of older Grafanas; newer ones turn most of them into others as they load the board."""

CORE_PANELS = QUERYING_PANELS | {
    "alertlist", "annolist", "canvas", "dashlist", "datagrid", "debug", "flamegraph", "geomap", "gettingstarted",
    "graph", "icon", "library-panel-ref", "live", "news", "nodeGraph", "pluginlist", "radialbar", "row", "singlestat",
    "table-old", "text", "traces", "traceview", "unknown-datasource", "welcome", "xychart2", "heatmap-new",
}  # fmt: skip

VARIABLE_TYPES = frozenset({
    "adhoc", "constant", "custom", "datasource", "groupby", "interval", "query", "snapshot", "switch", "system",
    "textbox",
})  # fmt: skip

BUILT_IN_VARIABLES = frozenset({
    "__all_variables", "__auto", "__conditionalAll", "__dashboard", "__data", "__field", "__from", "__interval",
    "__interval_ms", "__name", "__org", "__range", "__range_ms", "__range_s", "__rate_interval", "__rate_interval_ms",
    "__searchFilter", "__series", "__timeFilter", "__timezone", "__to", "__url_time_range", "__url", "__user",
    "__value", "timeFilter", "interval_ms", "__auto_interval", "__calc", "__cell", "__cell_0",
})  # fmt: skip

CUSTOM_KEYS = frozenset({
    "drawStyle", "lineInterpolation", "lineWidth", "lineStyle", "fillOpacity", "fillBelowTo", "fillColor",
    "gradientMode", "showPoints", "pointSize", "pointSymbol", "spanNulls", "stacking", "thresholdsStyle", "transform",
    "axisPlacement", "axisLabel", "axisWidth", "axisSoftMin", "axisSoftMax", "axisGridShow", "axisCenteredZero",
    "axisColorMode", "axisBorderShow", "scaleDistribution", "hideFrom", "barAlignment", "barWidthFactor",
    "barMaxWidth", "lineColor", "pointColor", "insertNulls", "show", "pointShape", "align", "cellOptions",
    "displayMode", "filterable", "hidden", "inspect", "minWidth", "width", "wrapText", "wrapHeaderText", "tooltip",
    "footer", "tooltipOptions", "hideFromViz", "cellHeight", "showPointLabels", "label", "x", "y", "size", "viz",
})  # fmt: skip
"""What a panel's own field configuration may hold, over all core panels."""

OPTION_KEYS = frozenset({
    "alignValue", "basemap", "barWidth", "calculate", "calculation", "cellGap", "cellHeight", "cellRadius",
    "cellValues", "color", "colorMode", "displayLabels", "displayMode", "exemplars", "filterValues", "footer",
    "frameIndex", "fullHighlight", "graphMode", "groupWidth",
    "justifyMode", "legend", "mergeValues", "namePlacement", "orientation",
    "pieType", "reduceOptions", "rowHeight", "rowsFrame", "selectionMode", "showCategory", "showHeader",
    "showPercentChange", "showThresholdLabels", "showThresholdMarkers", "showUnfilled", "showValue", "sizing", "sortBy",
    "stacking", "text", "textMode", "tooltip", "valueMode", "wideLayout", "xField", "xTickLabelRotation", "yAxis",
    "timezone", "minVizHeight", "minVizWidth", "maxVizHeight", "percentChangeColorMode", "barRadius", "fullWidth",
})  # fmt: skip
"""Options over all core panels; only what is nearly one of them is told."""

COLORS = frozenset({"text", "transparent", "panel", "background", "super-light", "inherit"}) | {
    f"{shade}{hue}"
    for hue in ("red", "orange", "yellow", "green", "blue", "purple")
    for shade in ("", "dark-", "semi-dark-", "light-", "super-light-")
}
"""Names of Grafana's palette; CSS names and notations are colours too."""


def near(name: str, known: Iterable[str]) -> str | None:
    """What somebody who wrote `name` probably meant; None when nothing is like it."""
    by_lower = {one.lower(): one for one in sorted(known)}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.8)
    return by_lower[found[0]] if found else None


def meant(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)`, or nothing."""
    found = near(name, known)
    return f' (did you mean "{found}"?)' if found else ""
