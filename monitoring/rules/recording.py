"""Recording rules of one SLO: windows, period and budget.

The period is not read as one raw 30-day range, which costs ten times as much, nor as
a mean of ratios, which lets quiet hours weigh as much as busy ones. Each slice records
its bad and its total events; the period divides the sum of the one by the sum of the
other, so it is weighed by requests and does not depend on how often slices are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitoring.maths.burn import error_budget
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.rules import names, period, sli
from monitoring.rules.model import Recording
from monitoring.rules.period import SLICE, Span
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo

FRESH_WINDOW = Duration.parse("1h")
"""Until the first slice exists the budget is read from this window, which then holds all there is."""

_KNOWN_FOR = Duration.parse("1d")
"""So long after the last period value an hour does not stand for the period: after a restart of Prometheus
a budget that is spent would look whole until the next slice, and open the gate. No budget is told then."""

_MISSED_SLICES = 3
"""A period value is good for so many slices: Prometheus' own look-back of 5m would flicker."""


def labels(slo: Slo) -> dict[str, str]:
    """What every recorded series of an SLO carries."""
    return {"slo_id": slo.name, "service": slo.service.name}


def sample_rules(slo: Slo, profile: Profile) -> tuple[Recording, ...]:
    """How bad each moment is, where moments or slices of time are the events; else nothing."""
    return (Recording(names.SAMPLE, sli.sample(slo, profile), labels(slo)),) if sli.is_sampled(slo) else ()


def window_rules(
    slo: Slo, windows: Iterable[Duration], counted: Iterable[Duration], profile: Profile
) -> tuple[Recording, ...]:
    """Error ratio per (scaled) window; events too for those in `counted`, whose alerts have a guard."""
    with_counts = set(counted) if sli.is_counted(slo) else set()
    rules: list[Recording] = []
    for window in sorted({*windows, *counted}):
        total = ""
        if window in with_counts:
            total = names.just(names.events_increase(window), slo.name)
            rules.append(Recording(names.events_increase(window), sli.events(slo, window, profile), labels(slo)))
        rules.append(Recording(names.errors_ratio(window), sli.ratio(slo, window, total), labels(slo)))
    return tuple(rules)


def period_rules(slo: Slo, profile: Profile, spans: Sequence[Span]) -> tuple[Recording, ...]:
    """One slice of errors and of events, and the error ratio over the period.

    `spans` are the SLO's maintenance; with any, the ratio without leaving it out is recorded too.
    """
    slice_ = profile.window(SLICE)
    events = names.just(names.SLICE_EVENTS, slo.name)
    errors = f"{sli.bad(slo, slice_, events)}\nor on () 0 * sum({events})"
    surplus = sli.surplus(slo, slice_, events)
    unadjusted = [Recording(names.PERIOD_RATIO_UNADJUSTED, _period_ratio(slo, profile, ()), labels(slo))]
    return (
        Recording(names.SLICE_EVENTS, sli.events(slo, slice_, profile), labels(slo)),
        Recording(names.SLICE_ERRORS, errors, labels(slo)),
        *([Recording(names.SURPLUS, surplus, labels(slo))] if surplus else []),
        *(period.phase_rules(profile, labels(slo)) if spans or slo.calendar else ()),
        *period.start_rules(slo, labels(slo)),
        Recording(names.PERIOD_RATIO, _period_ratio(slo, profile, spans), labels(slo)),
        *(unadjusted if spans else []),
    )


def _period_ratio(slo: Slo, profile: Profile, spans: Sequence[Span]) -> str:
    calendar = slo.calendar is not None
    errors, events = (
        period.masked(name, slo, profile, spans, calendar=calendar) for name in (names.SLICE_ERRORS, names.SLICE_EVENTS)
    )
    # A calendar period begins without slices; what the last one left must not be read on.
    new = f"\nor on () 0 * sum({names.of(names.SLICE_EVENTS, slo.name)})" if calendar else ""
    return f"{errors}\n/\n({events} > 0){new}"


def budget_rules(slo: Slo, profile: Profile, spans: Sequence[Span]) -> tuple[Recording, ...]:
    """The objective, whether maintenance goes on, and the share of the error budget that is left.

    The budget is negative when overspent. Without any traffic nothing was spent: it is whole.
    """
    fresh = profile.window(FRESH_WINDOW)
    valid = Duration(_MISSED_SLICES * profile.interval(SLICE))
    told = names.of(names.PERIOD_RATIO, slo.name)
    ratio = names.of(names.errors_ratio(fresh), slo.name)
    quiet = names.of(names.events_increase(fresh), slo.name) if sli.is_counted(slo) else ratio
    spent = (
        # One value even while an SLO whose service was renamed has two series.
        f"max(\n  last_over_time({told}[{valid}])\n  or on () (\n    ({ratio} or on () 0 * {quiet})"
        f"\n    unless on () last_over_time({told}[{profile.window(_KNOWN_FOR)}])\n  )\n)"
    )
    maintenance = Recording(names.MAINTENANCE, f"1 + 0 * ({period.during(spans)})", labels(slo))
    return (
        Recording(names.OBJECTIVE, f"vector({plain(slo.target)})", labels(slo)),
        *([maintenance] if spans else []),
        Recording(names.BUDGET_REMAINING, f"1 - (\n  {spent}\n) / {plain(error_budget(slo.target))}", labels(slo)),
    )
