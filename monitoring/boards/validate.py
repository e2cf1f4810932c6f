"""What no schema catches in a dashboard: the grid, ids, variables, thresholds, queries.

`findings` takes any dashboard's JSON and returns what is wrong, each with the name of
its rule and a JSON pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.boards.model import GRID_WIDTH
from monitoring.boards.normalise import SCHEMA_VERSION
from monitoring.boards.queries import all_panels, substitute, variables_in
from monitoring.errors import PromqlError
from monitoring.promql import parse

Json = Mapping[str, Any]


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
    return [finding for check in _CHECKS for finding in check(board)]


def _schema(board: Json) -> Iterator[Finding]:
    if board.get("schemaVersion") != SCHEMA_VERSION:
        yield Finding(
            "schema-version", "/schemaVersion", f"expected {SCHEMA_VERSION}, found {board.get('schemaVersion')}"
        )
    if not board.get("uid"):
        yield Finding("uid", "/uid", "without a uid every import makes a new dashboard")


def _grid(board: Json) -> Iterator[Finding]:
    taken: dict[tuple[int, int], str] = {}
    for i, panel in enumerate(board.get("panels", ())):
        grid, pointer = panel["gridPos"], f"/panels/{i}/gridPos"
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
    for panel in all_panels(board):
        if panel.get("id") in seen:
            yield Finding("panel-id", "/panels", f"two panels have the id {panel.get('id')}")
        seen.add(panel.get("id"))
        refs = [target.get("refId") for target in panel.get("targets", ())]
        if len(set(refs)) != len(refs):
            yield Finding("ref-id", "/panels", f"{panel.get('title')!r} uses a refId twice: {refs}")


def _described(board: Json) -> Iterator[Finding]:
    for panel in all_panels(board):
        if panel.get("type") == "row":
            continue
        for key in ("title", "description"):
            if not panel.get(key):
                yield Finding(key, "/panels", f"panel {panel.get('id')} has no {key}")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield Finding("unit", "/panels", f"{panel.get('title')!r} has no unit")
        if not panel.get("targets"):
            yield Finding("targets", "/panels", f"{panel.get('title')!r} asks nothing")


def _thresholds(board: Json) -> Iterator[Finding]:
    for panel in all_panels(board):
        steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", ())
        values = [step.get("value") for step in steps]
        if not values:
            continue
        rest = values[1:]
        numbers = [v for v in rest if isinstance(v, (int, float))]
        if values[0] is not None or len(numbers) != len(rest) or numbers != sorted(numbers):
            message = f"{panel.get('title')!r}: expected null, then rising numbers, found {values}"
            yield Finding("thresholds", "/panels", message)


def _variables(board: Json) -> Iterator[Finding]:
    defined = {variable["name"] for variable in board.get("templating", {}).get("list", ())}
    for panel in all_panels(board):
        texts = [target.get("expr", "") for target in panel.get("targets", ())]
        texts += [str(panel.get("title", "")), str(panel.get("datasource", ""))]
        for name in sorted(set().union(*map(variables_in, texts)) - defined):
            if not name.startswith("__"):
                yield Finding("variable", "/panels", f"{panel.get('title')!r} uses ${name}, which is not defined")


def _promql(board: Json) -> Iterator[Finding]:
    for panel in all_panels(board):
        for target in panel.get("targets", ()):
            names = variables_in(target["expr"])
            # A range takes a duration; the other variables stand inside quoted matchers.
            values = {name: "5m" if name.startswith("__") else name for name in names}
            try:
                parse(substitute(target["expr"], values))
            except PromqlError as error:
                yield Finding("promql", "/panels", f"{panel.get('title')!r} {target.get('refId')}: {error}")


_CHECKS: tuple[Callable[[Json], Iterator[Finding]], ...] = (
    _schema,
    _grid,
    _ids,
    _described,
    _thresholds,
    _variables,
    _promql,
)
