"""Which alert of an SLO fires at which evaluation, predicted from raw samples.

`simulate` walks through the evaluations as Prometheus does: both windows strictly above
the threshold, enough bad events in the long one, true for as long as `for` asks; false
once, and the alert is over.

For a step (healthy traffic, then a steady share e of bad events) the closed forms of
monitoring/maths/burn.py say when: an alert fires threshold/e × long window after the first
bad event, and resets (1 − threshold/e) × short window after the last; each is seen at the
next evaluation after the next scrape. Tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from monitoring.maths.burn import error_budget
from monitoring.maths.durations import Duration
from monitoring.oracle.query import rounded
from monitoring.oracle.samples import Series, Store
from monitoring.oracle.slis import Measured, Reading, is_counted, measure, read
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns
from monitoring.spec.model import Slo

THRESHOLD = "threshold"
"""The name of the direct alert among those of an SLO; the others have their tier's."""

SLICE = Duration.parse("5m")
FRESH_WINDOW = Duration.parse("1h")
_ROUND_TO = 0.001
"""The guard looks at bad events so rounded, since sums of extrapolated floats come to 2.9999999999."""

_TIE = 1e-9
"""Nearer than this, relatively, two correct evaluations may disagree on which side of a threshold they are."""


@dataclass(frozen=True)
class Condition:
    """An alert on one scale. `short` is None for the direct alert, which looks at one window."""

    name: str
    severity: str
    threshold: float
    long: Duration
    short: Duration | None
    hold: Duration


@dataclass(frozen=True)
class Timeline:
    """One alert at every evaluation."""

    condition: Condition
    evaluations_ms: Sequence[int]
    firing: Sequence[bool]
    doubtful_ms: frozenset[int]
    """Evaluations at which a ratio lay on the threshold as far as floats can tell."""

    @cached_property
    def intervals(self) -> tuple[tuple[int, int | None], ...]:
        """Each time it fired: the first evaluation firing, and the first not firing any more (None: it still does)."""
        found: list[tuple[int, int | None]] = []
        for fires, run in groupby(zip(self.evaluations_ms, self.firing, strict=True), key=lambda pair: pair[1]):
            first = next(run)[0]
            if not fires and found:
                found[-1] = (found[-1][0], first)
            elif fires:
                found.append((first, None))
        return tuple(found)

    @property
    def fires_ms(self) -> int | None:
        """The first evaluation at which it fires."""
        return self.intervals[0][0] if self.intervals else None

    @property
    def resets_ms(self) -> int | None:
        """The first evaluation after it fired first at which it does not."""
        return self.intervals[0][1] if self.intervals else None


def conditions(slo: Slo, profile: Profile) -> tuple[Condition, ...]:
    """The burn-rate alerts of an SLO, most urgent first, then its direct alert."""
    found = [
        Condition(
            burn.name,
            burn.severity,
            float(burn.threshold),
            profile.window(burn.long),
            profile.window(burn.short),
            profile.hold(burn.hold) if burn.hold else Duration(0),
        )
        for burn in burns(slo)
    ]
    if slo.threshold_window:
        window, limit = profile.window(slo.threshold_window), float(error_budget(slo.target))
        # One scrape: it may fall between counting what is owed and counting that it came.
        found.append(Condition(THRESHOLD, "page", limit, window, None, profile.scrape_interval))
    return tuple(found)


def simulate(
    slo: Slo, profile: Profile, series: Iterable[Series], evaluations_ms: Sequence[int]
) -> Mapping[str, Timeline]:
    """The timeline of each alert of an SLO, by its name, over evaluations in the order of time.

    Raises OpaqueError for an SLI that cannot be evaluated here.
    """
    measured = measure(slo, profile, Store(series), evaluations_ms)
    every = conditions(slo, profile)
    windows = sorted({window for one in every for window in _windows(one)})
    counted = is_counted(slo)
    pending: dict[str, int] = {}
    firing: dict[str, list[bool]] = {one.name: [] for one in every}
    doubtful: dict[str, set[int]] = {one.name: set() for one in every}
    for now_ms in evaluations_ms:
        readings = {window: read(measured, window, now_ms) for window in windows}
        for one in every:
            guarded = not counted or _enough_bad(readings[one.long], slo.min_bad_events)
            true = guarded and all(_above(readings[window], one.threshold) for window in _windows(one))
            if any(_near(readings[window], one.threshold) for window in _windows(one)):
                doubtful[one.name].add(now_ms)
            if true:
                since_ms = pending.setdefault(one.name, now_ms)
            else:
                pending.pop(one.name, None)
            firing[one.name].append(true and now_ms - since_ms >= one.hold * 1000)
    return {one.name: Timeline(one, evaluations_ms, firing[one.name], frozenset(doubtful[one.name])) for one in every}


def period_ratio(measured: Measured, profile: Profile, slices_ms: Iterable[int]) -> float | None:
    """The error ratio of the period that ends with the last of these moments, weighed by requests.

    `slices_ms`: when slices were recorded. Bad events of all slices ÷ all events of all slices;
    None without any event. A ratio SLI, with nothing to count, gives the mean of its slices.
    """
    moments = sorted(slices_ms)
    if not moments:
        return None
    slice_, period = profile.window(SLICE), profile.window(measured.slo.period)
    inside = [at for at in moments if at >= moments[-1] - period * 1000]
    readings = [read(measured, slice_, at) for at in inside]
    if not is_counted(measured.slo):
        ratios = [one.ratio for one in readings if one.ratio is not None]
        return sum(ratios) / len(ratios) if ratios else None
    bad = sum(one.bad for one in readings if one.bad is not None)
    total = sum(one.total for one in readings if one.total is not None)
    return bad / total if total > 0 else None


def budget_remaining(measured: Measured, profile: Profile, slices_ms: Iterable[int], now_ms: int) -> float | None:
    """Share of the error budget left now, negative when overspent; None when nothing was ever counted.

    Without a slice that had traffic the last hour tells; without traffic nothing is spent.
    """
    spent = period_ratio(measured, profile, slices_ms)
    if spent is None:
        fresh = read(measured, profile.window(FRESH_WINDOW), now_ms)
        spent = fresh.ratio if fresh.ratio is not None else None if fresh.total is None else 0.0
    return None if spent is None else 1 - spent / float(error_budget(measured.slo.target))


def _windows(one: Condition) -> tuple[Duration, ...]:
    return (one.long, one.short) if one.short else (one.long,)


def _above(reading: Reading, threshold: float) -> bool:
    return reading.ratio is not None and reading.ratio > threshold


def _near(reading: Reading, threshold: float) -> bool:
    # Exactly on it is no matter of floats: whole numbers were divided once, which everybody does alike.
    return reading.ratio is not None and 0 < abs(reading.ratio - threshold) <= _TIE * threshold


def _enough_bad(reading: Reading, least: int) -> bool:
    return reading.bad is not None and rounded(reading.bad, _ROUND_TO) >= least
