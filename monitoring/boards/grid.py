"""Places rows under one another: nothing can overlap, because nothing is placed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from monitoring.boards.model import GRID_WIDTH, Heading, Panel, Row
from monitoring.errors import BoardError


@dataclass(frozen=True)
class Place:
    """The rectangle of a panel or of a row's heading, in Grafana's grid units."""

    panel: Panel | Heading
    x: int
    y: int
    w: int
    h: int


def place(rows: Iterable[Row]) -> Iterator[Place]:
    """Every heading and panel with its place, in reading order.

    Raises BoardError for a row that is wider than the board, has no panel or no height, or whose widths
    are not one for each panel.
    """
    y = 0
    for row in rows:
        _check(row)
        if row.title is not None:
            yield Place(Heading(row.title), 0, y, GRID_WIDTH, 1)
            y += 1
        x = 0
        for panel, width in zip(row.panels, row.widths, strict=True):
            yield Place(panel, x, y, width, row.height)
            x += width
        y += row.height


def _check(row: Row) -> None:
    keys = ", ".join(panel.key for panel in row.panels)
    if not row.panels:
        raise BoardError(f"the row {row.title!r} has no panel")
    if len(row.panels) != len(row.widths):
        raise BoardError(f"the row of {keys} has {len(row.panels)} panels and {len(row.widths)} widths")
    if min(row.widths) < 1 or row.height < 1:
        raise BoardError(
            f"the row of {keys} has the widths {row.widths} and the height {row.height}; each is at least 1"
        )
    if sum(row.widths) > GRID_WIDTH:
        raise BoardError(f"the row of {keys} is {sum(row.widths)} wide; a board has {GRID_WIDTH}")
    if row.title == "":
        raise BoardError(f"the row of {keys} has an empty title; None is no heading")
