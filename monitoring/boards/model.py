"""What a board is, before Grafana: panels with queries, laid out in rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

GRID_WIDTH = 24
RUNBOOK = "runbook:"
"""How a link names a runbook; the configured place of runbooks takes its stead when boards are generated."""


def stable_id(key: str) -> int:
    """A positive 31-bit number that only depends on the key.

    Grafana asks for no more than uniqueness within a board, which generating checks.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1 or 1


Kind = Literal["timeseries", "stat", "gauge", "bargauge", "heatmap", "table", "state-timeline"]


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are named in the legend."""

    expr: str
    legend: str
    instant: bool = False
    """Only the value at the end of the time range: for tables, and what needs no history."""
    exemplars: bool = False
    """Whether the metric carries exemplars, which are then drawn."""


@dataclass(frozen=True)
class Step:
    """From `value` on, this colour; None is "from the bottom"."""

    color: str
    value: Decimal | None = None


@dataclass(frozen=True)
class Mapping:
    """What is shown in place of one value: `0` as "down", in red."""

    value: Decimal
    text: str
    color: str | None = None


@dataclass(frozen=True)
class Override:
    """How the series of one name differ from the others; the name is the legend, or with `pattern` what it matches."""

    series: str
    color: str | None = None
    unit: str | None = None
    dashed: bool = False
    pattern: bool = False
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Link:
    """A way out of a board or panel: a title and a URL; `${__url_time_range}` and variables may stand in it."""

    title: str
    url: str


def runbook(name: str) -> Link:
    """The link to a page of docs/runbooks, named without its extension."""
    return Link(f"Runbook: {name.replace('-', ' ')}", f"{RUNBOOK}{name}")


@dataclass(frozen=True)
class Panel:
    """One panel. `key` is forever: its id follows from it, so moving or renaming changes no id."""

    key: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    steps: tuple[Step, ...] = (Step("green"),)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    stacked: bool = False
    decimals: int | None = None
    mappings: tuple[Mapping, ...] = ()
    overrides: tuple[Override, ...] = ()
    links: tuple[Link, ...] = ()
    columns: tuple[str, ...] = ()
    """Of a table: the labels it shows, in this order, before the values; others are hidden."""

    @property
    def id(self) -> int:
        """Grafana's number for the panel."""
        return stable_id(self.key)


@dataclass(frozen=True)
class Heading:
    """The line above a row that names it and folds it; its id follows from the title, so titles differ in a board."""

    title: str

    @property
    def key(self) -> str:
        """What the id is made from; no panel has such a key by chance."""
        return f"heading: {self.title}"

    @property
    def id(self) -> int:
        """Grafana's number for the line."""
        return stable_id(self.key)


@dataclass(frozen=True)
class Row:
    """Panels side by side; `widths` are in twenty-fourths of the board."""

    height: int
    panels: tuple[Panel, ...]
    widths: tuple[int, ...]
    title: str | None = None
    """A heading above the row; None is none."""


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a board: the values of `label` on the series of `selector`; None chosen is all of them."""

    name: str
    title: str
    selector: str
    label: str
    chosen: str | None = None


@dataclass(frozen=True)
class Annotation:
    """Marks over every panel where `expr` has a value: a deploy, an alert. `title` and `text` may name its labels."""

    name: str
    expr: str
    color: str
    title: str
    text: str = ""
    tags: tuple[str, ...] = ()
    at_value: bool = False
    """Whether the value, in milliseconds, is the moment to mark, not the time of the sample."""


@dataclass(frozen=True)
class Board:
    """A dashboard. `uid` is forever too: links and alerts point at it."""

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    annotations: tuple[Annotation, ...] = ()
    links: tuple[Link, ...] = ()
    """Beside the menus of boards with the same tags, which every board has."""

    def panels(self) -> Iterator[Panel]:
        """Every panel, in reading order."""
        for row in self.rows:
            yield from row.panels
