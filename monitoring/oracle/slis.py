"""What an SLI says of one window, from raw samples: bad events, all events, the error ratio.

The rules that hold, for every kind:

- Bad events lie between none and all: a scrape that falls between two counters is no failure.
- Traffic, but the good series is missing: everything is bad. The bad series is missing: nothing is.
- No such total at all: nothing is known; no traffic: nothing was bad, and there is no ratio.
  That is the policy `ignore`. With `good` a window without traffic has the ratio 0; with `bad` a
  window whose total is zero or absent counts as `min_bad_events` bad of as many.
- Where moments or slices of time are the events, each evaluation records how bad its moment
  or slice was, and those records are counted, of a slice only the part that lies between two
  evaluations; the policy decides what a silent slice records.
- NaN is no sample, nor is an infinite or negative total. Where the part is NaN there is no ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.errors import OpaqueError
from monitoring.maths.durations import Duration
from monitoring.oracle.query import value_of
from monitoring.oracle.samples import Series, Store
from monitoring.rules.profile import Profile
from monitoring.spec.model import CompositeSli, EventSli, RatioSli, SampleSli, Sli, Slo


@dataclass(frozen=True)
class Reading:
    """One window; None is no sample. A ratio that nothing can be counted behind has no `bad` and `total`."""

    bad: float | None = None
    total: float | None = None
    ratio: float | None = None


NOTHING = Reading()


@dataclass(frozen=True)
class Measured:
    """The raw samples behind an SLO; `recorded` is how bad each evaluation was, where that is what counts."""

    slo: Slo
    store: Store
    recorded: Series | None = None
    per_record: float = 1.0
    """So much of an event is one record: a slice of time is looked at by several evaluations."""


def is_sampled(slo: Slo) -> bool:
    """Whether moments or slices of time are the events, not what the service counts."""
    return slo.slices is not None or isinstance(slo.sli, SampleSli)


def is_counted(slo: Slo) -> bool:
    """Whether bad events can be counted; else the guard has nothing to ask."""
    return is_sampled(slo) or not isinstance(slo.sli, RatioSli)


def measure(slo: Slo, profile: Profile, store: Store, evaluations_ms: Sequence[int]) -> Measured:
    """Raw samples, and what the rules record of them at these evaluations. Raises OpaqueError."""
    if not is_sampled(slo):
        return Measured(slo, store)
    values = ((now_ms, _moment(slo, profile, store, now_ms)) for now_ms in evaluations_ms)
    recorded = Series("recorded", {}, [(at, value) for at, value in values if value is not None])
    part = profile.evaluation_interval / profile.window(slo.slices.window) if slo.slices else 1.0
    return Measured(slo, store, recorded, part)


def read(measured: Measured, window: Duration, now_ms: int) -> Reading:
    """The SLI over the window that ends now, with the policy for no traffic. Raises OpaqueError."""
    slo = measured.slo
    if measured.recorded is not None:
        values = measured.recorded.values(now_ms - window * 1000, now_ms)
        if not values:
            return NOTHING
        bad, total = math.fsum(values), float(len(values))
        return Reading(bad * measured.per_record, total * measured.per_record, bad / total)
    if isinstance(slo.sli, RatioSli):
        return Reading(ratio=_ratio(slo.sli, window, measured.store, now_ms))
    reading = _events(slo.sli, window, measured.store, now_ms)
    if reading.ratio is not None:
        return reading
    if slo.no_traffic == "bad":
        events = reading.total or float(slo.min_bad_events)
        return Reading(events, events, 1.0)
    if slo.no_traffic == "good" and reading.total is not None:
        return Reading(0.0, reading.total, 0.0)
    return reading


def _events(sli: Sli, window: Duration, store: Store, now_ms: int) -> Reading:
    match sli:
        case EventSli():
            return _ratio_of_events(sli, window, store, now_ms)
        case CompositeSli():
            return _weighed(sli, window, store, now_ms)
    raise OpaqueError("a part of the composite has no events that could be counted")


def _ratio_of_events(sli: EventSli, window: Duration, store: Store, now_ms: int) -> Reading:
    total = value_of(sli.total.over(window), store, now_ms)
    if total is None or not 0 <= total < math.inf:
        return NOTHING
    part = sli.bad or sli.good
    assert part  # noqa: S101  an EventSli has one of the two
    told = value_of(part.over(window), store, now_ms) or 0.0
    if math.isnan(told):
        return Reading(total=total)
    return _counted(_within(told if sli.bad else total - told, total), total)


def _weighed(sli: CompositeSli, window: Duration, store: Store, now_ms: int) -> Reading:
    """An event of a part counts `weight` times."""
    readings = [(float(part.weight), _events(part.sli, window, store, now_ms)) for part in sli.parts]
    known = [(weight, reading.bad or 0.0, reading.total) for weight, reading in readings if reading.total is not None]
    if not known:
        return NOTHING
    return _counted(sum(weight * bad for weight, bad, _ in known), sum(weight * total for weight, _, total in known))


def _moment(slo: Slo, profile: Profile, store: Store, now_ms: int) -> float | None:
    """How bad this moment, or the slice of time that ends now, is: from 0 (good) to 1 (bad)."""
    if slo.slices is None:
        assert isinstance(slo.sli, SampleSli)  # noqa: S101  is_sampled said so
        return _share(value_of(slo.sli.error, store, now_ms))
    window = profile.window(slo.slices.window)
    ratio = _slice_ratio(slo.sli, window, profile.scrape_interval, store, now_ms)
    if ratio is not None:
        target = slo.slices.target
        return ratio if target is None else float(ratio > float(1 - target))
    if slo.no_traffic == "bad":
        return 1.0
    return 0.0 if slo.no_traffic == "good" and _has_data(slo.sli, window, store, now_ms) else None


def _slice_ratio(sli: Sli, window: Duration, step: Duration, store: Store, now_ms: int) -> float | None:
    match sli:
        case EventSli():
            return _ratio_of_events(sli, window, store, now_ms).ratio
        case RatioSli():
            return _ratio(sli, window, store, now_ms)
        case SampleSli():
            # A subquery looks at whole multiples of its step.
            step_ms, first_ms = step * 1000, now_ms - window * 1000
            moments = range(-(-first_ms // step_ms) * step_ms, now_ms + 1, step_ms)
            values = [value for at in moments if (value := _share(value_of(sli.error, store, at))) is not None]
            return math.fsum(values) / len(values) if values else None
        case CompositeSli():
            ratios = [(float(part.weight), _slice_ratio(part.sli, window, step, store, now_ms)) for part in sli.parts]
            known = [(weight, ratio) for weight, ratio in ratios if ratio is not None]
            if not known:
                return None
            return sum(weight * ratio for weight, ratio in known) / sum(weight for weight, _ in known)


def _has_data(sli: Sli, window: Duration, store: Store, now_ms: int) -> bool:
    """Whether there is anything behind an SLI, traffic or not."""
    match sli:
        case EventSli():
            return value_of(sli.total.over(window), store, now_ms) is not None
        case RatioSli():
            return _ratio(sli, window, store, now_ms) is not None
        case SampleSli():
            return value_of(sli.error, store, now_ms) is not None
        case CompositeSli():
            return any(_has_data(part.sli, window, store, now_ms) for part in sli.parts)


def _ratio(sli: RatioSli, window: Duration, store: Store, now_ms: int) -> float | None:
    return _share(value_of(sli.error.over(window), store, now_ms))


def _counted(bad: float, total: float) -> Reading:
    return Reading(bad, total, bad / total if total > 0 else None)


def _share(value: float | None) -> float | None:
    number = _number(value)
    return None if number is None else _within(number, 1.0)


def _within(value: float, most: float) -> float:
    return min(max(value, 0.0), max(most, 0.0))


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
