"""What the options of each panel type are in Grafana's schema 42: the keys it reads, and a value for each it wants.

grafanalib 0.7.1 still writes the shapes of Grafana 4 to 7 for the gauges and the heatmap,
and keys that no Grafana read; a panel gets what is listed here and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

PLUGIN_VERSION = "11.0.0"
"""The Grafana whose panels these are: older migrations are not tried on them, newer ones are."""

_HIDDEN_FROM = {"legend": False, "tooltip": False, "viz": False}
_REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_LEGEND = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}
_TOOLTIP = {"mode": "multi", "sort": "desc"}


@dataclass(frozen=True)
class Shape:
    """`options` and `custom` are what the type has, with a value for each; `extra` keys may be there too."""

    options: Mapping[str, Any]
    custom: Mapping[str, Any] = field(default_factory=dict)
    extra: Set[str] = frozenset()
    color: str = "thresholds"
    format: str = "time_series"


SHAPES: Mapping[str, Shape] = {
    "timeseries": Shape(
        options={"legend": _LEGEND, "tooltip": _TOOLTIP},
        custom={
            "axisBorderShow": False,
            "axisCenteredZero": False,
            "axisColorMode": "text",
            "axisLabel": "",
            "axisPlacement": "auto",
            "barAlignment": 0,
            "drawStyle": "line",
            "fillOpacity": 8,
            "gradientMode": "none",
            "hideFrom": _HIDDEN_FROM,
            "insertNulls": False,
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "pointSize": 5,
            "scaleDistribution": {"type": "linear"},
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "none"},
            "thresholdsStyle": {"mode": "off"},
        },
        extra={"axisSoftMax", "axisSoftMin"},
        color="palette-classic",
    ),
    "stat": Shape(
        options={
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": _REDUCE,
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        }
    ),
    "gauge": Shape(
        options={
            "minVizHeight": 75,
            "minVizWidth": 75,
            "orientation": "auto",
            "reduceOptions": _REDUCE,
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
            "sizing": "auto",
        }
    ),
    "bargauge": Shape(
        options={
            "displayMode": "gradient",
            "legend": _LEGEND | {"showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "reduceOptions": _REDUCE,
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        }
    ),
    "heatmap": Shape(
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": "short"},
            "color": {
                "exponent": 0.5,
                "fill": "dark-orange",
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Oranges",
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False},
        },
        custom={"hideFrom": _HIDDEN_FROM, "scaleDistribution": {"type": "linear"}},
        format="heatmap",
    ),
    "table": Shape(
        options={"cellHeight": "sm", "frameIndex": 0, "showHeader": True, "sortBy": []},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False},
        format="table",
    ),
    "state-timeline": Shape(
        options={
            "alignValue": "left",
            "legend": _LEGEND,
            "mergeValues": True,
            "rowHeight": 0.9,
            "showValue": "auto",
            "tooltip": _TOOLTIP,
        },
        custom={"fillOpacity": 70, "hideFrom": _HIDDEN_FROM, "lineWidth": 0},
    ),
}


def merged(wanted: Mapping[str, Any], given: Mapping[str, Any], extra: Set[str] = frozenset()) -> dict[str, Any]:
    """`given` over `wanted`, the keys of `wanted` and `extra` only; also within what is nested.

    >>> merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5, "old": 6}, "old": 7, "d": None})
    {'a': {'b': 5, 'c': 2}, 'd': 3}
    """
    result: dict[str, Any] = {}
    for key, value in wanted.items():
        own = given.get(key)
        if isinstance(value, Mapping):
            result[key] = merged(value, own, _NESTED.get(key, frozenset())) if isinstance(own, Mapping) else dict(value)
        else:
            result[key] = value if own is None else own
    return result | {key: given[key] for key in sorted(extra) if given.get(key) is not None}


_NESTED: Mapping[str, Set[str]] = {
    "yAxis": {"decimals", "max", "min", "unit"},
    "scaleDistribution": {"linearThreshold"},
}
