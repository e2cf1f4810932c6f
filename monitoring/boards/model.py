"""What a board is, before Grafana: panels with queries, laid out in rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

GRID_WIDTH = 24


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are named in the legend."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Step:
    """From `value` on, this colour; None is "from the bottom"."""

    color: str
    value: Decimal | None = None


@dataclass(frozen=True)
class Panel:
    """One panel. `key` is forever: its id follows from it, so moving or renaming changes no id."""

    key: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat"] = "timeseries"
    steps: tuple[Step, ...] = (Step("green"),)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    stacked: bool = False

    @property
    def id(self) -> int:
        """A positive 31-bit number that only depends on the key.

        Grafana asks for no more than uniqueness within a board, which the validation checks.
        """
        digest = hashlib.sha256(self.key.encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1 or 1


@dataclass(frozen=True)
class Row:
    """Panels side by side; `widths` are in twenty-fourths of the board."""

    height: int
    panels: tuple[Panel, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a board: the values of `label` on the series of `selector`; None chosen is all of them."""

    name: str
    title: str
    selector: str
    label: str
    chosen: str | None = None


@dataclass(frozen=True)
class Board:
    """A dashboard. `uid` is forever too: links and alerts point at it."""

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]

    def panels(self) -> Iterator[Panel]:
        """Every panel, in reading order."""
        for row in self.rows:
            yield from row.panels
