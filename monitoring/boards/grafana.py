"""A typed wrapper over grafanalib: a board in, its raw dashboard out.

grafanalib is the author API, with no types and known defects; what it gets wrong
`normalise` puts right. Nothing else imports it.
"""

from __future__ import annotations

import json
import string
from typing import Any

from grafanalib import core as g
from grafanalib._gen import DashboardEncoder

from monitoring.boards.grid import Place, place
from monitoring.boards.model import Board, Panel, Query, Variable
from monitoring.boards.normalise import normalise

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
REFRESH = "10s"
_SHARED_CROSSHAIR = 1
_ON_TIME_RANGE_CHANGE = 2


def dashboard(board: Board) -> bytes:
    """Grafana's JSON of a board: canonical, so the same board is the same bytes."""
    raw = json.loads(json.dumps(_dashboard(board), cls=DashboardEncoder))
    return (json.dumps(normalise(raw), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _dashboard(board: Board) -> Any:
    return g.Dashboard(
        uid=board.uid,
        title=board.title,
        description=board.description,
        tags=list(board.tags),
        editable=False,
        graphTooltip=_SHARED_CROSSHAIR,
        refresh=REFRESH,
        time=g.Time("now-30m", "now"),
        timePicker=g.TimePicker(refreshIntervals=["5s", REFRESH, "30s", "1m", "5m", "15m"], timeOptions=[]),
        timezone="utc",
        templating=g.Templating(list=_variables(board)),
        panels=[_panel(where) for where in place(board.rows)],
    )


def _variables(board: Board) -> list[dict[str, Any]]:
    source = g.Template(name="datasource", label="Data source", type="datasource", query="prometheus")
    return [
        source.to_json_data() | {"current": {"text": "Prometheus", "value": "prometheus"}},
        *map(_variable, board.variables),
    ]


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.selector}, {variable.label})"
    template = g.Template(
        name=variable.name,
        label=variable.title,
        query=query,
        dataSource=DATASOURCE,
        multi=True,
        includeAll=True,
        allValue=".+",
        refresh=_ON_TIME_RANGE_CHANGE,
    )
    raw: dict[str, Any] = template.to_json_data()
    current = {"text": [variable.chosen or "All"], "value": [variable.chosen or "$__all"]}
    return raw | {"current": current, "definition": query}


def _panel(where: Place) -> Any:
    panel = where.panel
    common = {
        "id": panel.id,
        "title": panel.title,
        "description": panel.description,
        "dataSource": DATASOURCE,
        "gridPos": {"h": where.h, "w": where.w, "x": where.x, "y": where.y},
        "targets": [_target(ref, query) for ref, query in zip(string.ascii_uppercase, panel.queries, strict=False)],
        "thresholds": _steps(panel),
        "extraJson": _limits(panel),
    }
    if panel.kind == "stat":
        return g.Stat(format=panel.unit, reduceCalc="lastNotNull", graphMode="area", noValue="no data", **common)
    return g.TimeSeries(
        unit=panel.unit,
        fillOpacity=25 if panel.stacked else 8,
        lineWidth=1,
        showPoints="never",
        stacking={"mode": "normal" if panel.stacked else "none", "group": "A"},
        thresholdsStyleMode="dashed" if len(panel.steps) > 1 else "off",
        tooltipMode="multi",
        tooltipSort="desc",
        **common,
    )


def _target(ref: str, query: Query) -> Any:
    return g.Target(refId=ref, expr=query.expr, legendFormat=query.legend, datasource=DATASOURCE)


def _steps(panel: Panel) -> list[Any]:
    return [g.Threshold(step.color, i, float(step.value or 0)) for i, step in enumerate(panel.steps)]


def _limits(panel: Panel) -> dict[str, Any]:
    # Through extraJson, since grafanalib takes only whole numbers for an axis.
    limits = {"min": panel.minimum, "max": panel.maximum}
    return {"fieldConfig": {"defaults": {name: float(v) for name, v in limits.items() if v is not None}}}
