"""The stories that each SLO's alerts are proven with: traffic in, predicted timelines out.

Lengths are in scrapes and follow from the windows of the scale. The traffic is of a prime
number of events a scrape, so that no ratio falls exactly on a threshold; where one does,
within what floats can tell, the next prime is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from monitoring.errors import OpaqueError
from monitoring.oracle.data import simulate_data
from monitoring.oracle.simulate import FRESH_WINDOW, Condition, Timeline, conditions, simulate
from monitoring.proofs.scale import Scale
from monitoring.proofs.stimulus import Phase, SeriesId, Stimulus, samples
from monitoring.proofs.values import Values

OUTAGE = "total outage after a healthy history"
PARTIAL = "a partial fault on a young service"

_EVENTS = (1009, 1013, 1019)
_SHORT = 32
"""Scrapes of a phase in which nothing depends on a window."""

_FLAPS = 6

_MORE = 1.1
"""Traffic while everything is bad, as people try again; a share of scrapes alone may be a threshold exactly."""

Traffic = Mapping[SeriesId, Values]


@dataclass(frozen=True)
class Case:
    """One story; `timelines` is what the oracle predicts of each alert."""

    name: str
    traffic: Traffic
    evaluations_s: range
    timelines: Mapping[str, Timeline]
    fault_s: tuple[int, int] | None = None
    """The last scrape before the only fault, and the last within it."""


@dataclass(frozen=True)
class _Story:
    """What happens, for so many events a scrape. `scrapes` is how long, where the traffic itself does not say."""

    name: str
    build: Callable[[int], Traffic]
    scrapes: int | None = None
    fault: tuple[int, int] | None = None


def cases(scale: Scale, stimulus: Stimulus) -> tuple[Case, ...]:
    """Every story of one scale. Raises OpaqueError when no prediction can be made."""
    every = conditions(scale.slo, scale.profile)
    stories = (*_faults(scale, stimulus, every), *_others(scale, stimulus, every))
    return tuple(_case(scale, story) for story in stories)


def _case(scale: Scale, story: _Story) -> Case:
    scrape_s, step_s = int(scale.profile.scrape_interval), int(scale.profile.evaluation_interval)
    for events in _EVENTS:
        traffic = story.build(events)
        scrapes = story.scrapes or max(map(len, traffic.values())) - 1
        evaluations = range(0, scrapes * scrape_s + 1, step_s)
        moments, series = [at * 1000 for at in evaluations], samples(traffic, scrape_s)
        timelines = dict(simulate(scale.slo, scale.profile, series, moments))
        if scale.has_data_alerts:
            timelines |= simulate_data(scale.slo, scale.profile, series, moments)
        if not any(timeline.doubtful_ms for timeline in timelines.values()):
            later = _later(scale, events)
            fault = [(at + later) * scrape_s for at in story.fault or ()]
            return Case(story.name, traffic, evaluations, timelines, (fault[0], fault[1]) if fault else None)
    raise OpaqueError(f"{story.name}: its error ratio lies exactly on a threshold")


def _faults(scale: Scale, stimulus: Stimulus, every: tuple[Condition, ...]) -> Iterator[_Story]:
    """One fault that lasts until every alert has fired, and health until every one is over."""
    longest = max(scale.scrapes(one.long) for one in every)
    slowest = max(scale.scrapes(one.short or one.long) for one in every)
    spare = 4 * scale.every
    outage = max(math.ceil(one.threshold * scale.scrapes(one.long)) + scale.scrapes(one.hold) for one in every)
    partly = _partial([one.threshold for one in every])
    young = max(math.ceil(one.threshold / (partly - one.threshold) * _SHORT) for one in every)
    for name, before, fault, share in (
        (OUTAGE, longest + spare, outage + slowest + spare, 1.0),
        (PARTIAL, _SHORT, young + spare + _SHORT, partly),
    ):
        phases = ((fault, _MORE if share == 1 else 1, share), (slowest + spare, 1, 0))
        yield _Story(name, _after_health(scale, stimulus, before, phases), fault=(before, before + fault))


def _others(scale: Scale, stimulus: Stimulus, every: tuple[Condition, ...]) -> Iterator[_Story]:
    """What an alert must not take for a fault, and what it must although it looks like less."""
    lone = scale.slo.min_bad_events
    below = min(one.threshold for one in every) / 2
    flap = max(1, min(scale.scrapes(one.short or one.long) for one in every) // 4)
    quiet = [Phase(1, 1, 0), Phase(1, 0, 0)] * (_SHORT // 2)
    healthy = (_SHORT, 1.0, 0.0)

    def told(name: str, *phases: tuple[int, float, float]) -> _Story:
        return _Story(name, _traffic(stimulus, *phases))

    def at_low_traffic(name: str, *phases: Phase) -> _Story:
        return _Story(name, lambda _: stimulus.traffic([*quiet, *phases, *quiet]))

    yield told("healthy, and a steady trickle of errors inside the budget", healthy, (_SHORT, 1, below))
    yield told("no traffic, then some, then none", (_SHORT, 0, 0), healthy, (_SHORT, 0, 0))
    # Data that is missing is told after an hour of nothing, and another hour of waiting.
    hour = scale.scrapes(scale.profile.window(FRESH_WINDOW)) if scale.has_data_alerts else 0
    yield _Story("absent from the start", lambda _: {}, scrapes=_SHORT + hour)
    yield _Story(
        "the series end", lambda events: _ended(_traffic(stimulus, healthy)(events)), scrapes=2 * (_SHORT + hour)
    )
    if not stimulus.levels:
        yield _Story("counters start again at zero", _restarted(stimulus, [healthy], [healthy]))
        yield _Story(
            "counters start again during an outage",
            _restarted(stimulus, [healthy, (4 * scale.every, _MORE, 1)], [(_SHORT, _MORE, 1)]),
        )
    if set(stimulus.bad) != set(stimulus.series):
        yield _Story("only bad events exist", lambda events: _only_bad(stimulus, events))
    if set(stimulus.bad) < set(stimulus.good):
        twice = {one: n if one in stimulus.bad else 2 * n for one, n in stimulus.good.items()}
        yield _Story("more good events than events", _traffic(replace(stimulus, good=twice), healthy))
    yield at_low_traffic("one failure at low traffic", Phase(1, 0, 1))
    yield at_low_traffic(f"{lone} failures in a row at low traffic", Phase(lone, 0, 1), *quiet)
    flaps = [(flap, _MORE, 1.0), (flap, 1.0, 0.0)] * _FLAPS
    yield told("flapping faster than the short window", healthy, *flaps, healthy)


def _after_health(
    scale: Scale, stimulus: Stimulus, before: int, phases: Sequence[tuple[int, float, float]]
) -> Callable[[int], Traffic]:
    """Traffic that is healthy at first, for longer with each try: a share of slices may be a threshold as well."""
    return lambda events: _traffic(stimulus, (before + _later(scale, events), 1, 0), *phases)(events)


def _later(scale: Scale, events: int) -> int:
    return _EVENTS.index(events) * scale.every


def _traffic(stimulus: Stimulus, *phases: tuple[int, float, float]) -> Callable[[int], Traffic]:
    """Phases of (scrapes, share of full traffic, share of that which is bad)."""
    return lambda events: stimulus.traffic(_phases(phases, events))


def _restarted(
    stimulus: Stimulus, before: Sequence[tuple[int, float, float]], after: Sequence[tuple[int, float, float]]
) -> Callable[[int], Traffic]:
    def build(events: int) -> Traffic:
        first, second = (stimulus.traffic(_phases(phases, events)) for phases in (before, after))
        return {one: [*first[one], *second[one]] for one in first}

    return build


def _partial(thresholds: Iterable[float]) -> float:
    """An error ratio above every threshold, by a factor of two where that can be."""
    highest = max(thresholds)
    return min(2 * highest, (1 + highest) / 2)


def _phases(phases: Iterable[tuple[int, float, float]], events: int) -> list[Phase]:
    found = []
    for scrapes, share, bad_share in phases:
        bad = round(events * share * bad_share)
        found.append(Phase(scrapes, round(events * share) - bad, bad))
    return found


def _ended(traffic: Traffic) -> Traffic:
    return {one: [*values, math.nan] for one, values in traffic.items()}


def _only_bad(stimulus: Stimulus, events: int) -> Traffic:
    traffic = stimulus.traffic(_phases([(_SHORT, 1, 1)], events))
    return {one: values for one, values in traffic.items() if one in stimulus.bad}
