"""What a benchmark found: a figure, what it was measured against, and what is wanted of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return digits(self.median)
        return f"{digits(self.median)} ({digits(self.low)}–{digits(self.high)})"


@dataclass(frozen=True)
class Figure:
    """One line of a table. `reference` was measured in the same run; `ratio` is value over reference, by rounds."""

    name: str
    unit: str
    value: Spread
    against: str = ""
    reference: Spread | None = None
    ratio: Spread | None = None
    must: str = ""
    aim: str = ""


def digits(value: float) -> str:
    """Three significant digits, more before the point where there are more.

    >>> digits(1.0449), digits(13.27), digits(4321.9), digits(0)
    ('1.04', '13.3', '4,322', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank); 0 < share <= 1, at least one value."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def beside(
    name: str, unit: str, values: Sequence[float], against: str, references: Sequence[float], must: str, aim: str
) -> Figure:
    """A figure and its reference, whose rounds were measured in pairs."""
    ratios = [value / reference for value, reference in zip(values, references, strict=True)]
    return Figure(name, unit, spread(values), against, spread(references), spread(ratios), must, aim)


def table(title: str, figures: Sequence[Figure]) -> str:
    """The figures as text in columns; median (least–greatest) of the rounds."""
    rows: list[tuple[str, ...]] = [("figure", "unit", "measured", "against", "reference", "ratio", "must", "aim")]
    for f in figures:
        cells = (f.value, f.against, f.reference or "", f.ratio or "", f.must, f.aim)
        rows.append((f.name, f.unit, *(str(cell) for cell in cells)))
    used = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in used}
    lines = ["  ".join(row[i].ljust(widths[i]) for i in used).rstrip() for row in rows]
    return "\n".join([title, lines[0], "-" * len(lines[0]), *lines[1:]])
