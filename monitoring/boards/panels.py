"""Every kind of panel through grafanalib, typed: what it cannot express goes through its `extraJson`.

What contradicts itself is a BoardError that names the panel's key, not a panel that shows nothing.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from grafanalib import core as g

from monitoring.boards import fields, links
from monitoring.boards.grid import Place
from monitoring.boards.links import Runbook
from monitoring.boards.model import Heading, Kind, Panel, Query
from monitoring.errors import BoardError

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

_OVER_TIME: tuple[Kind, ...] = ("timeseries", "heatmap", "state-timeline")
"""Kinds that draw a time axis, and so nothing of one instant."""
_WITH_EXEMPLARS: tuple[Kind, ...] = ("timeseries", "heatmap")
_NO_DATA = "no data"

Json = dict[str, Any]


def panel(where: Place, runbook: Runbook | None) -> Any:
    """grafanalib's object for a placed panel or heading. Raises BoardError for one that contradicts itself."""
    position = {"h": where.h, "w": where.w, "x": where.x, "y": where.y}
    if isinstance(where.panel, Heading):
        return g.RowPanel(title=where.panel.title, id=where.panel.id, gridPos=position)
    one = where.panel
    _check(one)
    return _KINDS[one.kind](
        one,
        {
            "id": one.id,
            "title": one.title,
            "description": one.description,
            "dataSource": DATASOURCE,
            "gridPos": position,
            "links": links.of_panel(one.links, runbook),
            "targets": [_target(ref, query, one.kind) for ref, query in zip(_REFS, one.queries, strict=False)],
            "thresholds": [g.Threshold(step.color, i, float(step.value or 0)) for i, step in enumerate(one.steps)],
        },
    )


_REFS = string.ascii_uppercase


def _check(panel: Panel) -> None:
    if panel.kind not in _KINDS:
        raise BoardError(f"{panel.key}: there is no kind {panel.kind!r}, only {', '.join(_KINDS)}")
    if not (panel.title and panel.description and panel.unit):
        raise BoardError(f"{panel.key}: a panel has a title, a description and a unit")
    if not 1 <= len(panel.queries) <= len(_REFS):
        raise BoardError(f"{panel.key}: {len(panel.queries)} queries; a panel has 1 to {len(_REFS)}")
    fields.thresholds(panel.steps, panel.key)
    for query in panel.queries:
        if query.instant and panel.kind in _OVER_TIME:
            raise BoardError(f"{panel.key}: a {panel.kind} draws time, an instant query has one moment")
        if query.exemplars and panel.kind not in _WITH_EXEMPLARS:
            raise BoardError(f"{panel.key}: a {panel.kind} draws no exemplars")
    if panel.stacked and panel.kind != "timeseries":
        raise BoardError(f"{panel.key}: only lines can be stacked, not a {panel.kind}")
    if panel.columns and panel.kind != "table":
        raise BoardError(f"{panel.key}: only a table has columns, not a {panel.kind}")


def _target(ref: str, query: Query, kind: Kind) -> Any:
    target = g.Target(
        refId=ref,
        expr=query.expr,
        legendFormat=query.legend,
        datasource=DATASOURCE,
        instant=query.instant or kind == "table",
    )
    # grafanalib knows no exemplars.
    return target.to_json_data() | {"exemplar": query.exemplars}


def _extra(one: Panel, options: Json | None = None, **defaults: Any) -> Json:
    config = {"defaults": fields.defaults(one) | defaults, "overrides": fields.overrides(one)}
    return {"fieldConfig": config} | ({"options": options} if options else {})


def _timeseries(one: Panel, common: Json) -> Any:
    # A line that is alone needs no colour to be told apart: it has that of the threshold it is past.
    alone = len(one.queries) == 1 and "{{" not in one.queries[0].legend and len(one.steps) > 1
    return g.TimeSeries(
        colorMode="thresholds" if alone else "palette-classic",
        gradientMode="scheme" if alone else "none",
        fillOpacity=25 if one.stacked else 8,
        lineWidth=1,
        showPoints="never",
        stacking={"mode": "normal" if one.stacked else "none", "group": "A"},
        thresholdsStyleMode="dashed" if len(one.steps) > 1 else "off",
        tooltipMode="multi",
        tooltipSort="desc",
        extraJson=_extra(one),
        **common,
    )


def _stat(one: Panel, common: Json) -> Any:
    # The line behind the number is the past, of which an instant query has none.
    graph = "none" if any(query.instant for query in one.queries) else "area"
    return g.Stat(
        format=one.unit,
        reduceCalc="lastNotNull",
        graphMode=graph,
        noValue=_NO_DATA,
        extraJson=_extra(one),
        **common,
    )


def _gauge(one: Panel, common: Json) -> Any:
    if one.minimum is None or one.maximum is None:
        raise BoardError(f"{one.key}: a gauge needs a minimum and a maximum, or its arc means nothing")
    return g.GaugePanel(format=one.unit, calc="lastNotNull", extraJson=_extra(one, noValue=_NO_DATA), **common)


def _bargauge(one: Panel, common: Json) -> Any:
    # grafanalib would end every axis at 100.
    return g.BarGauge(
        format=one.unit,
        calc="lastNotNull",
        displayMode="gradient",
        min=None,
        max=None,
        extraJson=_extra(one, noValue=_NO_DATA),
        **common,
    )


def _heatmap(one: Panel, common: Json) -> Any:
    axis = {"unit": one.unit} | ({} if one.decimals is None else {"decimals": one.decimals})
    return g.Heatmap(extraJson=_extra(one, {"calculate": False, "yAxis": axis}), **common)


def _state_timeline(one: Panel, common: Json) -> Any:
    return g.StateTimeline(tooltipMode="multi", extraJson=_extra(one), **common)


def _table(one: Panel, common: Json) -> Any:
    titles = [*one.columns, *(query.legend for query in one.queries)]
    if len(set(titles)) != len(titles) or any(not title or "{{" in title for title in titles):
        raise BoardError(f"{one.key}: a legend is the title of its query's column, and each is once: found {titles}")
    extra = _extra(one)
    if len(one.steps) > 1:
        # Only the values: a label has no threshold to be past.
        colored = [{"id": "custom.cellOptions", "value": {"type": "color-text"}}]
        matchers = [fields.matcher(query.legend) for query in one.queries]
        own = [{"matcher": matcher, "properties": colored} for matcher in matchers]
        extra["fieldConfig"]["overrides"] = own + extra["fieldConfig"]["overrides"]
    return g.Table(unit=one.unit, transformations=_columns(one), extraJson=extra, **common)


def _columns(one: Panel) -> list[Json]:
    """The labels of `columns`, then one value a query, under their titles; the rows of all queries joined by label."""
    several = len(one.queries) > 1
    values = {
        f"Value #{ref}" if several else "Value": query.legend for ref, query in zip(_REFS, one.queries, strict=False)
    }
    names = [*one.columns, *values]
    order: Json = {
        "excludeByName": {},
        "indexByName": {name: i for i, name in enumerate(names)},
        "renameByName": values,
    }
    return [
        *([{"id": "merge", "options": {}}] if several else []),
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": order},
    ]


_KINDS: Mapping[Kind, Callable[[Panel, Json], Any]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "gauge": _gauge,
    "bargauge": _bargauge,
    "heatmap": _heatmap,
    "table": _table,
    "state-timeline": _state_timeline,
}
