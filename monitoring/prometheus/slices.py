"""What the recorded slices say: each counted once, with what is missing told beside the sum; pure.

The rules record bad and all events of a slice at its end. A slice belongs to the
period in which it ends, so neighbouring periods share none and lose none. Two samples
closer together than a slice is long count some events twice, as after a rename of the
rule group, which moves its evaluations: the later of the two is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitoring.maths.durations import Duration
from monitoring.prometheus.client import Point
from monitoring.rules import names, period
from monitoring.rules.model import Group, Recording
from monitoring.rules.profile import Profile
from monitoring.spec.maintenance import Maintenance

_JITTER_S = 0.5
"""Evaluations lie on an exact grid; this much less than a slice apart is still not an overlap."""


@dataclass(frozen=True)
class Slice:
    """Bad and all events of (end - length, end]; `end` in Unix seconds."""

    end: float
    errors: float
    events: float


@dataclass(frozen=True)
class Rhythm:
    """Each slice is `length` long; one is recorded every `interval`, which is never shorter on the same profile."""

    length: Duration
    interval: Duration


@dataclass(frozen=True)
class Coverage:
    """How many slices there are of those there should be."""

    present: int
    expected: int

    @property
    def share(self) -> float:
        """From 0 to 1; a period too short for one slice is covered."""
        return self.present / self.expected if self.expected else 1.0


@dataclass(frozen=True)
class Tally:
    """The sum of slices. Each event weighs the same, whenever it was."""

    errors: float
    events: float

    @property
    def ratio(self) -> float | None:
        """Bad ÷ all, from 0 to 1; None without events."""
        return min(self.errors / self.events, 1.0) if self.events > 0 else None


def rhythm(groups: Iterable[Group], profile: Profile) -> Rhythm:
    """Of the group that records the slices."""
    length = profile.window(period.SLICE)
    for group in groups:
        if any(isinstance(rule, Recording) and rule.record == names.SLICE_EVENTS for rule in group.rules):
            return Rhythm(length, group.interval)
    return Rhythm(length, profile.interval(period.SLICE))


def slices(errors: Sequence[Point], events: Sequence[Point]) -> list[Slice]:
    """The two recorded series as one, oldest first; a moment that has only one of them, or NaN, is no slice."""
    bad = {round(point.at, 3): point.value for point in errors}
    pairs = ((round(p.at, 3), bad.get(round(p.at, 3), math.nan), p.value) for p in events)
    return sorted((Slice(*one) for one in pairs if math.isfinite(one[1]) and math.isfinite(one[2])), key=_end)


def distinct(found: Iterable[Slice], length: Duration) -> list[Slice]:
    """Slices of which none overlaps another, oldest first.

    >>> [s.end for s in distinct([Slice(300, 0, 1), Slice(420, 0, 1), Slice(600, 0, 1)], Duration(300))]
    [300, 600]
    """
    kept: list[Slice] = []
    for one in sorted(found, key=_end):
        if not kept or one.end - kept[-1].end >= length - _JITTER_S:
            kept.append(one)
    return kept


def grid(start: float, end: float, interval: Duration, phase: float) -> Iterator[float]:
    """Moments t = phase + k · interval with start < t <= end.

    >>> list(grid(0, 900, Duration(300), 12))
    [12.0, 312.0, 612.0]
    """
    first = math.floor((start - phase) / interval + 1e-9) + 1
    last = math.floor((end - phase) / interval + 1e-9)
    return (float(phase + k * interval) for k in range(first, last + 1))


def phase(found: Sequence[Slice], interval: Duration) -> float:
    """Where on the clock slices end, in [0, interval): where the newest does; 0 without any."""
    return round(found[-1].end % interval, 3) if found else 0.0


def coverage(found: Sequence[Slice], start: float, end: float, interval: Duration) -> Coverage:
    """Of slices that end in start < t <= end; `found` are those, distinct."""
    expected = sum(1 for _ in grid(start, end, interval, phase(found, interval)))
    return Coverage(min(len(found), expected), expected)


def tally(found: Iterable[Slice]) -> Tally:
    """
    >>> tally([Slice(300, 1, 10), Slice(600, 0, 90)]).ratio
    0.01
    """
    every = list(found)
    return Tally(math.fsum(s.errors for s in every), math.fsum(s.events for s in every))


def without_maintenance(found: Iterable[Slice], length: Duration, spans: Iterable[Maintenance]) -> list[Slice]:
    """The slices of which no part lies in maintenance."""
    times = [(span.start.timestamp(), span.end.timestamp()) for span in spans]
    return [s for s in found if not any(start < s.end and end > s.end - length for start, end in times)]


def _end(one: Slice) -> float:
    return one.end
