"""Raw samples as Prometheus 2.42 reads them: ranges, counter resets, extrapolation, look-back.

Times are whole milliseconds, as in its storage. Source: promql/functions.go
(extrapolatedRate) and promql/engine.go of that version.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from monitoring.oracle.matching import matches
from monitoring.promql import Selector

LOOKBACK_MS = 300_000
"""An instant vector takes the last sample that is no older than this."""

ENDED = math.nan
"""As a value: the series ended here. Prometheus tells its marker from other NaN; here there are no others."""

EXTRAPOLATION_LIMIT = 1.1
"""A border of the range nearer than so many average intervals is extrapolated to; else half an interval is added."""


@dataclass(frozen=True)
class Series:
    """One series: `samples` are (time in ms, value), in the order of time."""

    name: str
    labels: Mapping[str, str]
    samples: Sequence[tuple[int, float]]

    def at(self, now_ms: int) -> float | None:
        """What an instant selector finds; None when there is nothing, or the series has ended."""
        end = bisect_right(self._all_times, now_ms)
        if not end or self._all_times[end - 1] < now_ms - LOOKBACK_MS:
            return None
        value = self.samples[end - 1][1]
        return None if math.isnan(value) else value

    def values(self, start_ms: int, end_ms: int) -> Sequence[float]:
        """The values of a range, which is closed on both sides; without markers of staleness."""
        first, end = self._range(start_ms, end_ms)
        return self._values[first:end]

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """`increase(x[range])` at `end_ms`; None with fewer than two samples in the range."""
        first, end = self._range(start_ms, end_ms)
        last = end - 1
        if last - first < 1:
            return None
        grown = self._values[last] - self._values[first] + self._lost[last] - self._lost[first]
        return grown * self._extrapolation(first, last, start_ms, end_ms, grown)

    def _extrapolation(self, first: int, last: int, start_ms: int, end_ms: int, grown: float) -> float:
        """How much longer than its samples the range counts as: extrapolatedRate's factor."""
        to_start = (self._times[first] - start_ms) / 1000
        to_end = (end_ms - self._times[last]) / 1000
        sampled = (self._times[last] - self._times[first]) / 1000
        average = sampled / (last - first)
        if grown > 0 and self._values[first] >= 0:
            # A counter never was below zero: before that moment there was nothing.
            to_start = min(to_start, sampled * (self._values[first] / grown))
        limit = average * EXTRAPOLATION_LIMIT
        covered = sampled + (to_start if to_start < limit else average / 2)
        covered += to_end if to_end < limit else average / 2
        return covered / sampled

    def _range(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        return bisect_left(self._times, start_ms), bisect_right(self._times, end_ms)

    @cached_property
    def _all_times(self) -> list[int]:
        return [time for time, _ in self.samples]

    @cached_property
    def _times(self) -> list[int]:
        return [time for time, value in self.samples if not math.isnan(value)]

    @cached_property
    def _values(self) -> list[float]:
        return [value for _, value in self.samples if not math.isnan(value)]

    @cached_property
    def _lost(self) -> list[float]:
        """For each sample, what all resets up to it took away from the counter."""
        steps = (before if after < before else 0.0 for before, after in pairwise(self._values))
        return list(accumulate(steps, initial=0.0))


class Store:
    """Series by selector; each answer is remembered."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._series = tuple(series)
        self._found: dict[Selector, tuple[Series, ...]] = {}

    def select(self, selector: Selector) -> tuple[Series, ...]:
        """Every series that the selector names, in the order in which they were given."""
        if selector not in self._found:
            self._found[selector] = tuple(one for one in self._series if matches(selector, one.name, one.labels))
        return self._found[selector]
