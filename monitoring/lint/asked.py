"""What a dashboard asks Prometheus: each query once, with its tree or why it has none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitoring.errors import PromqlError
from monitoring.lint.expand import Expanded, expand
from monitoring.lint.read import Dashboard, Panel, Target, mapping, sequence, text

_OF_VARIABLE = (
    re.compile(r"label_values\(\s*(?P<expr>.+),\s*[\w$:{}\[\]]+\s*\)", re.DOTALL),
    re.compile(r"query_result\(\s*(?P<expr>.+)\)", re.DOTALL),
)


@dataclass(frozen=True)
class Asked:
    """One expression: of a panel's query, or with `target` None of an annotation or a variable."""

    pointer: str
    expr: str
    expanded: Expanded | None
    error: str = ""
    target: Target | None = None

    @property
    def panel(self) -> Panel | None:
        """The panel whose query it is."""
        return self.target.panel if self.target else None


def asked(board: Dashboard) -> Sequence[Asked]:
    """Everything that is asked, in the order of the board."""
    if "asked" not in board.cache:
        board.cache["asked"] = tuple(_all(board))
    found: Sequence[Asked] = board.cache["asked"]
    return found


def queries(board: Dashboard) -> Iterator[tuple[Asked, Expanded, Target]]:
    """The queries of panels that parse."""
    for one in asked(board):
        if one.expanded is not None and one.target is not None:
            yield one, one.expanded, one.target


def _all(board: Dashboard) -> Iterator[Asked]:
    for panel in board.panels:
        for target in panel.targets:
            if target.expr and target.expr.strip():
                yield _one(board, f"{target.pointer}/expr", target.expr, target)
    for i, annotation in enumerate(sequence(mapping(board.json.get("annotations")).get("list"))):
        said = mapping(annotation)
        expr = text(said.get("expr"))
        if expr and expr.strip() and board.datasource_kind(said.get("datasource")) in ("", "prometheus"):
            yield _one(board, f"/annotations/list/{i}/expr", expr, None)
    for variable in board.variables:
        if variable.type != "query" or board.datasource_kind(variable.json.get("datasource")) not in ("", "prometheus"):
            continue
        query = variable.json.get("query")
        asks = text(query) or text(mapping(query).get("query")) or ""
        found = next((match for one in _OF_VARIABLE if (match := one.fullmatch(asks.strip()))), None)
        if found:
            yield _one(board, f"{variable.pointer}/query", found["expr"], None)


def _one(board: Dashboard, pointer: str, expr: str, target: Target | None) -> Asked:
    try:
        return Asked(pointer, expr, expand(expr, board), target=target)
    except PromqlError as error:
        return Asked(pointer, expr, None, str(error), target)
