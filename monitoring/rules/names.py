"""The names of the recorded series: level, metric, operation, as Prometheus advises.

All carry the labels `slo_id` and `service`. The window in a name is the one on the
profile's scale. docs/slos.md explains each; a test compares.
"""

from __future__ import annotations

from monitoring.maths.durations import Duration
from monitoring.promql import Matcher, Selector

OBJECTIVE = "slo:objective:ratio"
SLICE_ERRORS = "slo:errors:slice_increase"
SLICE_EVENTS = "slo:events:slice_increase"
SLICE_PHASE = "slo:slice_phase:seconds"
PERIOD_RATIO = "slo:errors:ratio_period"
PERIOD_RATIO_UNADJUSTED = "slo:errors:ratio_period_unadjusted"
BUDGET_REMAINING = "slo:error_budget_remaining:ratio"
SAMPLE = "slo:errors:sample"
SURPLUS = "slo:surplus:slice_increase"
MAINTENANCE = "slo:maintenance:active"
PERIOD_START = "slo:period_start:timestamp_seconds"
PERIOD_START_GUESS = "slo:period_start:guess_seconds"
UTC_OFFSET = "slo:utc_offset:seconds"


def events_increase(window: Duration) -> str:
    """All events over a window."""
    return f"slo:events:increase{window}"


def errors_ratio(window: Duration) -> str:
    """Bad events ÷ events over a window; absent without traffic."""
    return f"slo:errors:ratio_rate{window}"


def of(name: str, slo_id: str) -> str:
    """The selector of one SLO's recorded series."""
    return str(Selector(name, (Matcher("slo_id", "=", slo_id),)))


def just(name: str, slo_id: str) -> str:
    """The same, only where it was recorded at this very evaluation, for rules later in the same group.

    After a restart of Prometheus a selector finds what was recorded before it, up to five minutes
    ago: the old total beside good events that are not there yet would be an outage.
    """
    selector = of(name, slo_id)
    return f"{selector} and timestamp({selector}) == time()"
