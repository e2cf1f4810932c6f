"""Which slices are missing, and the text that promtool turns into blocks; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitoring.prometheus.slices import Rhythm, Slice, grid, phase
from monitoring.rules import names

Labels = tuple[tuple[str, str], ...]
_JITTER_S = 0.5


@dataclass(frozen=True)
class Missing:
    """Ends of slices that are not there and touch none that is."""

    ends: tuple[float, ...]
    expected: int

    @property
    def present(self) -> int:
        """Slices that are there, or whose place another one takes."""
        return self.expected - len(self.ends)


def missing(found: Sequence[Slice], start: float, end: float, rhythm: Rhythm) -> Missing:
    """On the grid of the slices there are, in start < t <= end; `found` reach one slice further on both sides.

    >>> from monitoring.maths.durations import Duration
    >>> five = Duration(300)
    >>> missing([Slice(310, 0, 1), Slice(1210, 0, 1)], 0, 1500, Rhythm(five, five))
    Missing(ends=(10.0, 610.0, 910.0), expected=5)
    """
    every = list(grid(start, end, rhythm.interval, phase(found, rhythm.interval)))
    taken = sorted(one.end for one in found)
    free, at = [], 0
    for moment in every:
        while at < len(taken) and taken[at] <= moment - rhythm.length + _JITTER_S:
            at += 1
        if at == len(taken) or taken[at] >= moment + rhythm.length - _JITTER_S:
            free.append(moment)
    return Missing(tuple(free), len(every))


def runs(ends: Iterable[float], interval_s: float) -> list[tuple[float, float]]:
    """(first, last) of each unbroken run of a grid.

    >>> runs([10, 310, 1210], 300)
    [(10, 310), (1210, 1210)]
    """
    found: list[tuple[float, float]] = []
    for end in ends:
        if found and end - found[-1][1] < 1.5 * interval_s:
            found[-1] = (found[-1][0], end)
        else:
            found.append((end, end))
    return found


def openmetrics(series: Mapping[Labels, Sequence[Slice]]) -> str:
    """Both recorded series of each set of labels, sorted by time, seconds to the millisecond.

    >>> print(openmetrics({(("slo_id", "x"),): [Slice(300, 1, 10)]}))
    # TYPE slo:errors:slice_increase gauge
    slo:errors:slice_increase{slo_id="x"} 1 300.000
    # TYPE slo:events:slice_increase gauge
    slo:events:slice_increase{slo_id="x"} 10 300.000
    # EOF
    <BLANKLINE>
    """
    lines = []
    for name, field in ((names.SLICE_ERRORS, "errors"), (names.SLICE_EVENTS, "events")):
        lines.append(f"# TYPE {name} gauge")
        for labels, found in sorted(series.items()):
            shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
            for one in sorted(found, key=lambda s: s.end):
                value = getattr(one, field)
                lines.append(f"{name}{{{shown}}} {value!r} {one.end:.3f}")
    return "\n".join([*lines, "# EOF", ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
