"""Places rows under one another: nothing can overlap, because nothing is placed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from monitoring.boards.model import GRID_WIDTH, Panel, Row
from monitoring.errors import BoardError


@dataclass(frozen=True)
class Place:
    """A panel's rectangle, in Grafana's grid units."""

    panel: Panel
    x: int
    y: int
    w: int
    h: int


def place(rows: Iterable[Row]) -> Iterator[Place]:
    """Every panel with its place. Raises BoardError for a row that is too wide or unevenly described."""
    y = 0
    for row in rows:
        if len(row.panels) != len(row.widths) or min(row.widths, default=0) < 1 or row.height < 1:
            raise BoardError(f"a row of {len(row.panels)} panels has the widths {row.widths} and height {row.height}")
        if sum(row.widths) > GRID_WIDTH:
            raise BoardError(f"a row is {sum(row.widths)} wide; a board has {GRID_WIDTH}")
        x = 0
        for panel, width in zip(row.panels, row.widths, strict=True):
            yield Place(panel, x, y, width, row.height)
            x += width
        y += row.height
