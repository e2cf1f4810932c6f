"""What no schema catches in a dashboard: the grid, ids, variables, thresholds, queries.

`findings` takes any dashboard's JSON, also one that was not made here, and returns
what is wrong, each with the name of its rule and a JSON pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.boards.model import GRID_WIDTH
from monitoring.boards.normalise import SCHEMA_VERSION
from monitoring.boards.queries import panels_at, substitute, variables_in
from monitoring.errors import PromqlError
from monitoring.promql import parse

Json = Mapping[str, Any]

_STAND_INS = (None, "5m", "1")
"""What a variable may stand for, tried one after the other: its own name, a duration, a number."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a dashboard."""

    rule: str
    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message} [{self.rule}]"


def findings(board: Json) -> list[Finding]:
    """Everything wrong with a dashboard; empty when it is right."""
    try:
        return [finding for check in _CHECKS for finding in check(board)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [Finding("shape", "", f"not the shape of a dashboard: {type(error).__name__}: {error}")]


def _schema(board: Json) -> Iterator[Finding]:
    if board.get("schemaVersion") != SCHEMA_VERSION:
        yield Finding(
            "schema-version", "/schemaVersion", f"expected {SCHEMA_VERSION}, found {board.get('schemaVersion')}"
        )
    if not board.get("uid"):
        yield Finding("uid", "/uid", "without a uid every import makes a new dashboard")


def _grid(board: Json) -> Iterator[Finding]:
    taken: dict[tuple[int, int], str] = {}
    for i, panel in enumerate(board.get("panels") or ()):
        grid, pointer = panel.get("gridPos"), f"/panels/{i}/gridPos"
        if grid is None:
            yield Finding("grid", pointer, f"{panel.get('title')!r} has no gridPos")
            continue
        if grid["x"] < 0 or grid["x"] + grid["w"] > GRID_WIDTH:
            yield Finding("grid", pointer, f"x {grid['x']} + w {grid['w']} leaves the grid of {GRID_WIDTH}")
        cells = [
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        other = next((taken[cell] for cell in cells if cell in taken), None)
        if other is not None:
            yield Finding("grid", pointer, f"{panel.get('title')!r} overlaps {other!r}")
        taken |= dict.fromkeys(cells, str(panel.get("title")))


def _ids(board: Json) -> Iterator[Finding]:
    seen: set[object] = set()
    for pointer, panel in panels_at(board):
        if panel.get("id") in seen:
            yield Finding("panel-id", f"{pointer}/id", f"two panels have the id {panel.get('id')}")
        seen.add(panel.get("id"))
        # Grafana gives a name to a query that has none.
        refs = [target["refId"] for target in _targets(panel) if target.get("refId")]
        if len(set(refs)) != len(refs):
            yield Finding("ref-id", f"{pointer}/targets", f"{panel.get('title')!r} uses a refId twice: {refs}")


def _described(board: Json) -> Iterator[Finding]:
    for pointer, panel in panels_at(board):
        if panel.get("type") in ("row", "text"):
            continue
        for key in ("title", "description"):
            if not panel.get(key):
                yield Finding(key, pointer, f"panel {panel.get('id')} has no {key}")
        if not _defaults(panel).get("unit"):
            yield Finding("unit", pointer, f"{panel.get('title')!r} has no unit")
        if not _targets(panel):
            yield Finding("targets", pointer, f"{panel.get('title')!r} asks nothing")


def _thresholds(board: Json) -> Iterator[Finding]:
    for pointer, panel in panels_at(board):
        steps = (_defaults(panel).get("thresholds") or {}).get("steps") or ()
        values = [step.get("value") for step in steps]
        if not values:
            continue
        rest = values[1:]
        numbers = [v for v in rest if isinstance(v, (int, float))]
        if values[0] is not None or len(numbers) != len(rest) or numbers != sorted(numbers):
            message = f"{panel.get('title')!r}: expected null, then rising numbers, found {values}"
            yield Finding("thresholds", f"{pointer}/fieldConfig/defaults/thresholds/steps", message)


def _variables(board: Json) -> Iterator[Finding]:
    inputs = {one["name"] for one in board.get("__inputs") or ()}
    defined = {variable["name"] for variable in _templating(board)} | inputs
    for pointer, panel in panels_at(board):
        texts = [
            (f"{pointer}/targets/{i}/expr", str(target.get("expr") or "")) for i, target in enumerate(_targets(panel))
        ]
        texts += [(f"{pointer}/{key}", str(panel.get(key, ""))) for key in ("title", "datasource")]
        told: set[str] = set()
        for place, text in texts:
            for name in sorted(variables_in(text) - defined - told):
                if not name.startswith("__"):
                    told.add(name)
                    yield Finding("variable", place, f"{panel.get('title')!r} uses ${name}, which is not defined")


def _promql(board: Json) -> Iterator[Finding]:
    for pointer, panel in panels_at(board):
        for i, target in enumerate(_targets(panel)):
            expr = target.get("expr")
            if not expr or not _asks_prometheus(board, panel, target):
                continue
            if error := _unparsable(str(expr)):
                message = f"{panel.get('title')!r} {target.get('refId')}: {error}"
                yield Finding("promql", f"{pointer}/targets/{i}/expr", message)


def _unparsable(expr: str) -> PromqlError | None:
    """Why the query does not parse, whatever its variables stand for; None when it does."""
    first: PromqlError | None = None
    for stand_in in _STAND_INS:
        # A range takes a duration; most other variables stand inside quoted matchers.
        values = {name: "5m" if name.startswith("__") else stand_in or name for name in variables_in(expr)}
        try:
            parse(substitute(expr, values))
        except PromqlError as error:
            first = first or error
            if not values:
                break
        else:
            return None
    return first


def _asks_prometheus(board: Json, panel: Json, target: Json) -> bool:
    """False when the query's data source is known to be another one; Loki and others write `expr` too."""
    source = target.get("datasource") or panel.get("datasource") or {}
    name = source if isinstance(source, str) else str(source.get("uid") or "")
    kind = "" if isinstance(source, str) else str(source.get("type") or "")
    for variable in _templating(board):
        if not kind and variable.get("type") == "datasource" and variable["name"] in variables_in(name):
            kind = str(variable.get("query") or "")
    for one in board.get("__inputs") or ():
        if not kind and one["name"] in variables_in(name):
            kind = str(one.get("pluginId") or "")
    return not kind or kind == "prometheus" or kind == "datasource"


def _templating(board: Json) -> list[Json]:
    return (board.get("templating") or {}).get("list") or []


def _targets(panel: Json) -> list[Json]:
    return panel.get("targets") or []


def _defaults(panel: Json) -> Json:
    return (panel.get("fieldConfig") or {}).get("defaults") or {}


_CHECKS: tuple[Callable[[Json], Iterator[Finding]], ...] = (
    _schema,
    _grid,
    _ids,
    _described,
    _thresholds,
    _variables,
    _promql,
)
