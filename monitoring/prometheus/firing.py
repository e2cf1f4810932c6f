"""From samples of an alert to the spans in which it fired; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitoring.prometheus.client import Point

_MISSED = 2.5
"""An alert that is not seen for two evaluations has been resolved; one may be missed."""


@dataclass(frozen=True)
class Firing:
    """Fired in start <= t < end, Unix seconds; `end` None: still firing. `peak` is its highest value."""

    start: float
    end: float | None
    peak: float

    def length_s(self, now: float) -> float:
        """How long, so far."""
        return (now if self.end is None else self.end) - self.start


def recorded(points: Iterable[Point], interval_s: float, until: float) -> list[Firing]:
    """Spans in which samples of `ALERTS` lie, one each `interval_s`; looked at until `until`.

    The end is one interval after the last sample: the evaluation that no longer found it.

    >>> recorded([Point(0, 1), Point(15, 1), Point(300, 1)], 15, 310)
    [Firing(start=0, end=30, peak=1), Firing(start=300, end=None, peak=1)]
    """
    found: list[Firing] = []
    for run in _runs(sorted(points, key=lambda point: point.at), _MISSED * interval_s):
        last = run[-1].at
        open_ = until - last < _MISSED * interval_s
        found.append(Firing(run[0].at, None if open_ else last + interval_s, max(p.value for p in run)))
    return found


def would_fire(points: Sequence[Point], step_s: float, hold_s: float, until: float) -> list[Firing]:
    """Spans in which an alert fires whose expression has these samples, evaluated every `step_s`.

    It fires once the expression has been true for `hold_s`, as Prometheus' `for` does:
    at the first evaluation that is at least so long after the first true one.

    >>> would_fire([Point(t, t) for t in (10, 20, 30)], 10, 15, 100)
    [Firing(start=30, end=40, peak=30)]
    """
    found = []
    for run in _runs(points, 1.5 * step_s):
        firing = [point for point in run if point.at - run[0].at >= hold_s]
        if firing:
            open_ = firing[-1].at + step_s > until
            end = None if open_ else firing[-1].at + step_s
            found.append(Firing(firing[0].at, end, max(p.value for p in firing)))
    return found


def _runs(points: Sequence[Point], longest_gap_s: float) -> Iterator[list[Point]]:
    run: list[Point] = []
    for point in points:
        if run and point.at - run[-1].at > longest_gap_s:
            yield run
            run = []
        run.append(point)
    if run:
        yield run
