"""Values of a series, one a scrape, and how promtool's tests write them down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

Values = Sequence[float | None]
"""One a scrape from time 0 on; None is a scrape that brought nothing, NaN a series that has ended."""


def counter(phases: Iterable[tuple[int, float]], start: float = 0) -> list[float | None]:
    """A counter from `start`: phases of (scrapes, events per scrape).

    >>> counter([(2, 3), (1, 0)])
    [0, 3, 6, 6]
    """
    return list(accumulate((step for scrapes, step in phases for _ in range(scrapes)), initial=start))


def notation(values: Values) -> str:
    """The values as promtool expands them again.

    >>> notation([0, 3, 6, 6, 6, None, None, 1.5])
    '0+3x2 6x1 _x2 1.5'
    """
    return " ".join(_runs(values))


def _runs(values: Values) -> Iterable[str]:
    begin = 0
    while begin < len(values):
        end = _run_end(values, begin)
        first, length = values[begin], end - begin
        if first is None:
            yield "_" if length == 1 else f"_x{length}"
        elif math.isnan(first):
            yield from ["stale"] * length
        elif length == 1:
            yield _number(first)
        else:
            step = (values[begin + 1] or 0) - first
            sign = f"{'+' if step > 0 else '-'}{_number(abs(step))}" if step else ""
            yield f"{_number(first)}{sign}x{length - 1}"
        begin = end


def _run_end(values: Values, begin: int) -> int:
    """Where the longest run of equal steps from `begin` ends, as promtool would add them up."""
    first, end = values[begin], begin + 1
    if first is None or math.isnan(first):
        while end < len(values) and _same(values[end], first):
            end += 1
        return end
    step: float | None = None
    expanded = first
    while end < len(values):
        value = values[end]
        if value is None or math.isnan(value):
            break
        step = value - first if step is None else step
        expanded += step
        if expanded != value:
            break
        end += 1
    return end


def _same(left: float | None, right: float | None) -> bool:
    return left is right or (left is not None and right is not None and math.isnan(left) and math.isnan(right))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
