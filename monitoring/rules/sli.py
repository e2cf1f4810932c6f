"""An SLI as PromQL: bad events and all events over a window, never NaN, never negative.

- No such metric at all: no data. A stalled exporter must not look healthy.
- Traffic, but the good series is missing: everything is bad. This is a total stall.
- Traffic, but the bad series is missing: nothing is bad.
- More good than total, as when a scrape falls between two counters: nothing is bad.
"""

from __future__ import annotations

from monitoring.maths.durations import Duration
from monitoring.promql import Selector
from monitoring.spec.model import RatioSli


def events(sli: RatioSli, window: Duration) -> str:
    """All events over the window."""
    return _increase(sli.total, window)


def errors(sli: RatioSli, window: Duration) -> str:
    """Bad events over the window, as one operand; present whenever the total is."""
    total = events(sli, window)
    if sli.bad:
        return f"(\n  {_increase(sli.bad, window)}\n  or 0 * {total}\n)"
    assert sli.good  # noqa: S101  a RatioSli has one of the two
    return f"clamp_min(\n  {total}\n  - ({_increase(sli.good, window)} or vector(0)),\n  0\n)"


def no_traffic(sli: RatioSli, window: Duration) -> str:
    """Zero, present whenever the total is: what a service without traffic has spent."""
    return f"0 * {events(sli, window)}"


def _increase(selector: Selector, window: Duration) -> str:
    return f"sum(increase({selector}[{window}]))"
