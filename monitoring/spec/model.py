"""What an SLO is, once its file has been read and found right; plain values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitoring.maths.durations import Duration
from monitoring.promql import Selector


@dataclass(frozen=True)
class Service:
    """Something people rely on; SLOs belong to one."""

    name: str
    display_name: str


@dataclass(frozen=True)
class RatioSli:
    """Events counted good or bad out of a total; exactly one of `good` and `bad` is given."""

    total: Selector
    good: Selector | None = None
    bad: Selector | None = None


@dataclass(frozen=True)
class Slo:
    """One objective: over `period`, at least the share `target` of events is good."""

    name: str
    display_name: str
    description: str
    service: Service
    target: Decimal
    period: Duration
    sli: RatioSli
    runbook: str
    dashboard: str | None
    threshold_window: Duration | None
    """Declares the direct alert: more than `1 - target` bad over this window."""
    min_bad_events: int
    """Fewer bad events than this in the window never alert, however large their share."""
    disabled_tiers: frozenset[str]
    file: str
    line: int
