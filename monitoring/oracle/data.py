"""When an SLO must tell that its measurements are missing, have stopped or contradict each other.

Three alerts look at the last hour of slices, one of which is taken at each evaluation: `absent`
when there was none, for an hour; `stale` when there were some but not of late, for two slices; `implausible` when
the part (good or bad events) outgrew the total by more than a hundredth of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitoring.maths.durations import Duration
from monitoring.oracle.query import value_of
from monitoring.oracle.samples import Series, Store
from monitoring.oracle.simulate import FRESH_WINDOW, SLICE, Condition, Timeline
from monitoring.oracle.slis import Measured, is_sampled, measure, read
from monitoring.rules.profile import Profile
from monitoring.spec.model import EventSli, Slo

ABSENT, STALE, IMPLAUSIBLE = "SloDataAbsent", "SloDataStale", "SloDataImplausible"

_TOLERATED = 0.01
_LATELY = 3
"""Slices that may be missing before data counts as stale."""
_HOLD = 2
"""Slices for which it must be stale until it is told."""


@dataclass(frozen=True)
class _Slice:
    """What one evaluation records: all events, and how many of the part are not among them."""

    at_ms: int
    events: float
    surplus: float


def simulate_data(
    slo: Slo, profile: Profile, series: Iterable[Series], evaluations_ms: Sequence[int]
) -> Mapping[str, Timeline]:
    """The timeline of each of the three alerts, by its name. Raises OpaqueError."""
    window_ms, lately_ms = profile.window(FRESH_WINDOW) * 1000, _LATELY * profile.interval(SLICE) * 1000
    measured = measure(slo, profile, Store(series), evaluations_ms)
    slices = [_slice(measured, profile.window(SLICE), now_ms) for now_ms in evaluations_ms]
    firing: dict[str, list[bool]] = {ABSENT: [], STALE: [], IMPLAUSIBLE: []}
    hold_ms = {ABSENT: window_ms, STALE: _HOLD * profile.interval(SLICE) * 1000}
    since_ms = dict.fromkeys(hold_ms, math.inf)
    for now_ms in evaluations_ms:
        seen = [one for one in slices if one and now_ms - window_ms <= one.at_ms <= now_ms]
        for name, true in ((ABSENT, not seen), (STALE, bool(seen) and seen[-1].at_ms < now_ms - lately_ms)):
            since_ms[name] = min(since_ms[name], now_ms) if true else math.inf
            firing[name].append(now_ms - since_ms[name] >= hold_ms[name])
        too_much = sum(one.surplus for one in seen)
        firing[IMPLAUSIBLE].append(too_much > _TOLERATED * sum(one.events for one in seen))
    told = slo.alert_when_no_data
    return {
        name: Timeline(
            Condition(name, "ticket", 0, profile.window(FRESH_WINDOW), None, Duration(0)),
            evaluations_ms,
            [told and one for one in fires],
            frozenset(),
        )
        for name, fires in firing.items()
    }


def _slice(measured: Measured, window: Duration, now_ms: int) -> _Slice | None:
    reading = read(measured, window, now_ms)
    if reading.total is None:
        return None if reading.ratio is None else _Slice(now_ms, 1.0, 0.0)
    slo, surplus = measured.slo, 0.0
    if isinstance(slo.sli, EventSli) and not is_sampled(slo):
        part = slo.sli.good or slo.sli.bad
        assert part  # noqa: S101  an EventSli has one of the two
        surplus = max((value_of(part.over(window), measured.store, now_ms) or 0.0) - reading.total, 0.0)
    return _Slice(now_ms, reading.total, surplus)
