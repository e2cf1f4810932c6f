"""An SLI as PromQL: bad events and all events over a window, never NaN, never negative.

- No such metric at all: no data. A stalled exporter must not look healthy.
- Traffic, but the good series is missing: everything is bad. This is a total stall.
- Traffic, but the bad series is missing: nothing is bad.
- More good than total, as when a scrape falls between two counters: nothing is bad.
"""

from __future__ import annotations

from monitoring.maths.durations import Duration
from monitoring.spec.model import EventSli, Sli


def events(sli: Sli, window: Duration) -> str:
    """All events over the window."""
    assert isinstance(sli, EventSli)  # noqa: S101
    return sli.total.over(window)


def errors(sli: Sli, window: Duration) -> str:
    """Bad events over the window, as one operand; present whenever the total is."""
    assert isinstance(sli, EventSli)  # noqa: S101
    total = events(sli, window)
    if sli.bad:
        return f"(\n  {sli.bad.over(window)}\n  or 0 * {total}\n)"
    assert sli.good  # noqa: S101  a EventSli has one of the two
    return f"clamp_min(\n  {total}\n  - ({sli.good.over(window)} or vector(0)),\n  0\n)"


def no_traffic(sli: Sli, window: Duration) -> str:
    """Zero, present whenever the total is: what a service without traffic has spent."""
    return f"0 * {events(sli, window)}"
