"""Recording rules of one SLO: windows, period and budget.

The period is not read as one raw 30-day range, which costs ten times as much, nor as
a mean of ratios, which lets quiet hours weigh as much as busy ones. Each slice records
its bad and its total events; the period divides the sum of the one by the sum of the
other, so it is weighed by requests and does not depend on how often slices are taken.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitoring.maths.burn import error_budget
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.rules import names, sli
from monitoring.rules.model import Recording
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo

SLICE = Duration.parse("5m")
FRESH_WINDOW = Duration.parse("1h")
"""Until the first slice exists the budget is read from this window, which then holds all there is."""

_MISSED_SLICES = 3
"""A period value is good for so many slices: Prometheus' own look-back of 5m would flicker."""


def labels(slo: Slo) -> dict[str, str]:
    """What every recorded series of an SLO carries."""
    return {"slo_id": slo.name, "service": slo.service.name}


def window_rules(slo: Slo, windows: Iterable[Duration], counted: Iterable[Duration]) -> tuple[Recording, ...]:
    """Error ratio per (scaled) window; bad events too for those in `counted`, whose alerts have a guard."""
    with_counts = set(counted)
    rules: list[Recording] = []
    for window in sorted(set(windows) | with_counts):
        if window in with_counts:
            rules.append(Recording(names.errors_increase(window), sli.errors(slo.sli, window), labels(slo)))
        rules.append(Recording(names.errors_ratio(window), _ratio(slo, window, window in with_counts), labels(slo)))
    return tuple(rules)


def _ratio(slo: Slo, window: Duration, recorded: bool) -> str:
    # Dividing by (events > 0) gives no sample without traffic, where 0/0 would give NaN.
    errors = names.of(names.errors_increase(window), slo.name) if recorded else sli.errors(slo.sli, window)
    return f"{errors}\n/ on ()\n({sli.events(slo.sli, window)} > 0)"


def period_rules(slo: Slo, profile: Profile) -> tuple[Recording, ...]:
    """One slice of errors and of events, and the error ratio over the period."""
    slice_, period = profile.window(SLICE), profile.window(slo.period)
    errors, events = (names.of(name, slo.name) for name in (names.SLICE_ERRORS, names.SLICE_EVENTS))
    ratio = f"sum_over_time({errors}[{period}])\n/\n(sum_over_time({events}[{period}]) > 0)"
    return (
        Recording(names.SLICE_ERRORS, sli.errors(slo.sli, slice_), labels(slo)),
        Recording(names.SLICE_EVENTS, sli.events(slo.sli, slice_), labels(slo)),
        Recording(names.PERIOD_RATIO, ratio, labels(slo)),
    )


def budget_rules(slo: Slo, profile: Profile) -> tuple[Recording, ...]:
    """The objective, and the share of the error budget that is left; negative when overspent.

    Without any traffic nothing was spent: the budget is whole.
    """
    fresh = profile.window(FRESH_WINDOW)
    valid = Duration(_MISSED_SLICES * profile.interval(SLICE))
    spent = (
        f"last_over_time({names.of(names.PERIOD_RATIO, slo.name)}[{valid}])\n"
        f"  or on () {names.of(names.errors_ratio(fresh), slo.name)}\n"
        f"  or on () {sli.no_traffic(slo.sli, fresh)}"
    )
    return (
        Recording(names.OBJECTIVE, f"vector({plain(slo.target)})", labels(slo)),
        Recording(names.BUDGET_REMAINING, f"1 - (\n  {spent}\n) / {plain(error_budget(slo.target))}", labels(slo)),
    )
