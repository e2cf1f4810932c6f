"""Which series make a good event of an SLI, and which a bad one: found by asking the oracle.

Label values are made up from the matchers of the SLI's selectors; candidate series are
then let grow, alone or together, and what the SLI says of each tells what it is. So
"good and total are two metrics" and "bad is one label of total" need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice, product

from monitoring.errors import MonitoringError, OpaqueError
from monitoring.maths.durations import Duration
from monitoring.oracle.matching import matches
from monitoring.oracle.samples import Series, Store
from monitoring.oracle.slis import measure, read
from monitoring.promql import Selector, quoted
from monitoring.proofs.examples import examples
from monitoring.proofs.values import Values
from monitoring.rules.profile import Profile
from monitoring.spec.model import CompositeSli, SampleSli, Slo

_MOST_TOGETHER = 4
"""So many series may have to grow together for one event."""

_MOST_CANDIDATES = 12
_MOST_TRIED = 2000
_OTHER = "other"
_LEVELS = (0.0, 1.0)


@dataclass(frozen=True)
class SeriesId:
    """A metric and its labels."""

    name: str
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """As promtool reads it."""
        inside = ",".join(f"{label}={quoted(value)}" for label, value in self.labels)
        return f"{self.name}{{{inside}}}" if inside else self.name


@dataclass(frozen=True)
class Phase:
    """So many scrapes, with so many good and bad events between two of them."""

    scrapes: int
    good: float
    bad: float


@dataclass(frozen=True)
class Stimulus:
    """What a good and a bad event do to each series.

    Counters grow by so much an event. Levels (gauges) are set to a value: a scrape of a phase is
    bad as often as the phase's share of bad events says.
    """

    good: Mapping[SeriesId, float]
    bad: Mapping[SeriesId, float]
    levels: bool = False

    @property
    def series(self) -> tuple[SeriesId, ...]:
        """All of them."""
        return tuple(dict.fromkeys((*self.good, *self.bad)))

    def traffic(self, phases: Iterable[Phase], start: float = 0) -> dict[SeriesId, list[float | None]]:
        """The values of every series, one a scrape, first at time 0; counters begin at `start`."""
        return self._levels(phases) if self.levels else self._counters(phases, start)

    def _counters(self, phases: Iterable[Phase], start: float) -> dict[SeriesId, list[float | None]]:
        now = dict.fromkeys(self.series, float(start))
        values: dict[SeriesId, list[float | None]] = {one: [start] for one in self.series}
        for phase in phases:
            for _ in range(phase.scrapes):
                for one in self.series:
                    now[one] += phase.good * self.good.get(one, 0) + phase.bad * self.bad.get(one, 0)
                    values[one].append(now[one])
        return values

    def _levels(self, phases: Iterable[Phase]) -> dict[SeriesId, list[float | None]]:
        states: list[bool | None] = [False]
        for phase in phases:
            every = phase.good + phase.bad
            states += [
                None if not every else (i + 1) * phase.bad // every > i * phase.bad // every
                for i in range(phase.scrapes)
            ]
        chosen = {True: self.bad, False: self.good}
        return {one: [None if s is None else chosen[s][one] for s in states] for one in self.series}


def samples(values: Mapping[SeriesId, Values], scrape_s: int) -> tuple[Series, ...]:
    """The same traffic as the oracle reads it."""
    return tuple(
        Series(
            one.name,
            dict(one.labels),
            [(n * scrape_s * 1000, value) for n, value in enumerate(track) if value is not None],
        )
        for one, track in values.items()
    )


def find(slo: Slo) -> Stimulus:
    """The stimulus of an SLO. Raises OpaqueError with the reason when there is none."""
    if isinstance(slo.sli, CompositeSli):
        return _together(slo, [find(replace(slo, sli=part.sli)) for part in slo.sli.parts])
    try:
        candidates = _candidates(slo.selectors)
        found = _growing(slo, candidates) or _standing(slo, candidates)
    except MonitoringError as error:
        raise OpaqueError(str(error)) from error
    if found is None:
        raise OpaqueError("no series were found that make a good event, and others that make a bad one")
    return found


def _together(slo: Slo, parts: Sequence[Stimulus]) -> Stimulus:
    """Every part of a composite has the same traffic, so that it is as bad as each of them."""
    if len({part.levels for part in parts}) > 1:
        raise OpaqueError("its parts are counters and gauges, which no one traffic makes bad to the same share")
    good = {one: amount for part in parts for one, amount in part.good.items()}
    bad = {one: amount for part in parts for one, amount in part.bad.items()}
    whole = Stimulus(good, bad, parts[0].levels)
    if (_judged(slo, whole, 1, 0), _judged(slo, whole, 0, 1)) != (0.0, 1.0):
        raise OpaqueError("its parts share series, and what is bad for one is good for another")
    return whole


def _candidates(selectors: Sequence[Selector]) -> list[SeriesId]:
    """One series for each set of selectors that can name one at once."""
    found: dict[tuple[str, tuple[bool, ...]], SeriesId] = {}
    for name in dict.fromkeys(name for selector in selectors for name in _names(selector)):
        for labels in islice(product(*_label_values(name, selectors)), _MOST_TRIED):
            whole = {label: value for label, value in labels if value}
            named = tuple(matches(selector, name, whole) for selector in selectors)
            if any(named):
                found.setdefault((name, named), SeriesId(name, tuple(whole.items())))
    return list(found.values())[:_MOST_CANDIDATES]


def _label_values(name: str, selectors: Iterable[Selector]) -> list[list[tuple[str, str]]]:
    """For each label that a selector of this metric asks for: it with some values, another one, and without."""
    pools: dict[str, dict[str, None]] = {}
    for selector in selectors:
        for matcher in selector.matchers:
            if selector.name in (name, "") and matcher.label != "__name__":
                values = examples(matcher.value) if "~" in matcher.operator else (matcher.value,)
                pools.setdefault(matcher.label, {}).update(dict.fromkeys(values))
    return [[(label, value) for value in (*pool, _OTHER, "")] for label, pool in sorted(pools.items())]


def _names(selector: Selector) -> tuple[str, ...]:
    if selector.name:
        return (selector.name,)
    by_name = [matcher for matcher in selector.matchers if matcher.label == "__name__"]
    return tuple(
        name
        for matcher in by_name
        for name in (examples(matcher.value) if matcher.operator == "=~" else (matcher.value,))
        if matcher.operator in ("=", "=~")
    )


def _growing(slo: Slo, candidates: Sequence[SeriesId]) -> Stimulus | None:
    """Counters: the smallest sets of series that make a good event, and a bad one, when they grow."""
    if isinstance(slo.sli, SampleSli):
        return None
    good = _smallest(slo, candidates, 0.0)
    bad = _smallest(slo, candidates, 1.0)
    if good is None or bad is None:
        return None
    grown_good, grown_bad = dict.fromkeys(good, 1.0), dict.fromkeys(bad, 1.0)
    plain = Stimulus(grown_good, grown_bad)
    if _judged(slo, plain, 1, 0) == 0.0 and _judged(slo, plain, 0, 1) == 1.0:
        return plain
    # A sum of two metrics is nothing while one is missing: then every series must be there.
    still = dict.fromkeys(candidates, 0.0)
    return Stimulus(still | grown_good, still | grown_bad)


def _smallest(slo: Slo, candidates: Sequence[SeriesId], wanted: float) -> tuple[SeriesId, ...] | None:
    still = dict.fromkeys(candidates, 0.0)
    for size in range(1, min(_MOST_TOGETHER, len(candidates)) + 1):
        for together in combinations(candidates, size):
            tried = Stimulus(still | dict.fromkeys(together, 1.0), {})
            if _judged(slo, tried, 1, 0) == wanted:
                return together
    return None


def _standing(slo: Slo, candidates: Sequence[SeriesId]) -> Stimulus | None:
    """Gauges: values that make a moment good, and bad."""
    good, bad = (_first(slo, candidates, wanted) for wanted in (0.0, 1.0))
    return Stimulus(good, bad, levels=True) if good and bad else None


def _first(slo: Slo, candidates: Sequence[SeriesId], wanted: float) -> dict[SeriesId, float] | None:
    for values in islice(product(_LEVELS, repeat=len(candidates)), _MOST_TRIED):
        levels = dict(zip(candidates, values, strict=True))
        if _judged(slo, Stimulus(levels, levels, levels=True), 1, 0) == wanted:
            return levels
    return None


def _judged(slo: Slo, stimulus: Stimulus, good: float, bad: float) -> float | None:
    """The error ratio of steady traffic of this kind; None without traffic."""
    profile = Profile(Duration(1), Duration(1), 1, "", "")
    evaluations = [n * 1000 for n in range(9)]
    bare = replace(slo, slices=None, no_traffic="ignore")
    traffic = samples(stimulus.traffic([Phase(8, good, bad)]), 1)
    return read(measure(bare, profile, Store(traffic), evaluations), Duration(8), evaluations[-1]).ratio
