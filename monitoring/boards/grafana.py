"""A typed wrapper over grafanalib: a board in, Grafana's dashboard out.

grafanalib is the author API, with no types and known defects; what it gets wrong
`normalise` puts right. Only this module, `panels` and `links` import it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from grafanalib import core as g
from grafanalib._gen import DashboardEncoder

from monitoring.boards import links, marks
from monitoring.boards.grid import Place, place
from monitoring.boards.links import Runbook
from monitoring.boards.model import Board, Variable
from monitoring.boards.normalise import normalise
from monitoring.boards.panels import DATASOURCE, panel
from monitoring.errors import BoardError

REFRESH = "10s"
_SHARED_CROSSHAIR = 1
_ON_TIME_RANGE_CHANGE = 2
_UID = re.compile("[A-Za-z0-9_-]{1,40}")


def dashboard(board: Board, runbook: Runbook | None = None) -> bytes:
    """Grafana's JSON of a board: canonical, so the same board is the same bytes.

    `runbook` gives the address of a runbook by its name. Raises BoardError for a board that contradicts
    itself, or that links to a runbook when it was not said where they are.
    """
    return canonical(as_json(board, runbook))


def as_json(board: Board, runbook: Runbook | None = None) -> dict[str, Any]:
    """The same as a value."""
    return normalise(json.loads(json.dumps(_dashboard(board, runbook), cls=DashboardEncoder)))


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, an indent of two and a line end. Raises ValueError for NaN, which is no JSON."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _dashboard(board: Board, runbook: Runbook | None) -> Any:
    if not _UID.fullmatch(board.uid):
        raise BoardError(f"the uid {board.uid!r} is not 1 to 40 letters, digits, '-' and '_'")
    places = list(place(board.rows))
    _check_ids(board, places)
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
        annotations=g.Annotations(list=marks.of_board(board, DATASOURCE)),
        links=links.of_board(board, runbook),
        templating=g.Templating(list=_variables(board)),
        panels=[panel(where, runbook) for where in places],
    )


def _check_ids(board: Board, places: Iterable[Place]) -> None:
    taken: dict[int, str] = {}
    for where in places:
        other, key = taken.get(where.panel.id), where.panel.key
        if other == key:
            raise BoardError(f"the board {board.uid} has {key!r} twice")
        if other is not None:
            message = f"the board {board.uid}: {other!r} and {key!r} happen to have the same id; give one another key"
            raise BoardError(message)
        taken[where.panel.id] = key


def _variables(board: Board) -> list[dict[str, Any]]:
    names = ["datasource", *(variable.name for variable in board.variables)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BoardError(f"the board {board.uid} has two variables named {', '.join(sorted(twice))}")
    source = g.Template(name="datasource", label="Data source", type="datasource", query="prometheus")
    return [
        source.to_json_data() | {"current": {"text": "Prometheus", "value": "prometheus"}},
        *map(_variable, board.variables),
    ]


def _variable(variable: Variable) -> dict[str, Any]:
    template = g.Template(
        name=variable.name,
        label=variable.title,
        query=f"label_values({variable.selector}, {variable.label})",
        dataSource=DATASOURCE,
        multi=True,
        includeAll=True,
        allValue=".+",
        refresh=_ON_TIME_RANGE_CHANGE,
    )
    raw: dict[str, Any] = template.to_json_data()
    current = {"text": [variable.chosen or "All"], "value": [variable.chosen or "$__all"]}
    return raw | {"current": current}
