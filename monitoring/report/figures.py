"""What a report says of one SLO in one period, computed from what was recorded; pure.

Everything comes from the slices: attainment is good ÷ all events of the slices there
are, each event weighing the same. The budget of a report is that of its own period:
1 - target of the events that were in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.deployments.journal import Deployment
from monitoring.maths.burn import error_budget
from monitoring.prometheus import slices as slicing
from monitoring.prometheus.budget import Budget, budget
from monitoring.prometheus.shown import iso
from monitoring.prometheus.slices import Coverage, Rhythm, Slice, Tally
from monitoring.report.period import Span
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import RatioSli, SampleSli, Slo


@dataclass(frozen=True)
class Incident:
    """An alert of the SLO that fired in the period; Unix seconds, `end` None: still firing when the period ended."""

    alert: str
    kind: str
    tier: str
    severity: str
    start: float
    end: float | None
    peak_ratio: float | None
    """Highest recorded error ratio while it fired, over the tier's short window; None where none is recorded."""

    def length_s(self, until: float) -> float:
        """In seconds, so far."""
        return (until if self.end is None else self.end) - self.start


@dataclass(frozen=True)
class Restarts:
    """Counter resets of the SLI's total: what was counted after a process' last scrape is gone with it."""

    resets: float
    """Summed over series: a process with ten series that restarts once has ten."""
    uncounted: float
    """Events that may be missing at most at the mean rate: for each series resets × rate × scrape interval."""


@dataclass(frozen=True)
class Recorded:
    """What was read for one SLO. `slices` may overlap; `remaining` is the recorded budget at the period's end."""

    slices: Sequence[Slice]
    incidents: Sequence[Incident]
    deployments: Sequence[Deployment]
    restarts: Restarts
    remaining: float | None


@dataclass(frozen=True)
class Figures:
    """The report on one SLO."""

    slo: Slo
    period: Span
    rhythm: Rhythm
    adjusted: Budget
    """Without the slices in maintenance: what counts."""
    unadjusted: Budget
    """With them."""
    coverage: Coverage
    first_slice: float | None
    overlapping: int
    """Slices that were left out because they overlap another."""
    in_maintenance: int
    maintenance: tuple[Maintenance, ...]
    incidents: tuple[Incident, ...]
    deployments: tuple[Deployment, ...]
    restarts: Restarts
    recorded_remaining: float | None
    """`slo:error_budget_remaining:ratio` at the period's end, where the period is the SLO's own."""
    slices: tuple[Slice, ...]
    """Distinct, with those in maintenance."""

    @property
    def allowed_bad(self) -> float:
        """Bad events that the budget of this period allows."""
        return float(error_budget(self.slo.target)) * self.adjusted.tally.events

    @property
    def unit(self) -> str:
        """What is counted: samples where each evaluation is an event, slices where a query gives only ratios."""
        if self.slo.slices or isinstance(self.slo.sli, SampleSli):
            return "samples"
        return "slices" if isinstance(self.slo.sli, RatioSli) else "events"

    @property
    def met(self) -> bool | None:
        """Whether the objective was met; None when nothing was measured."""
        return None if self.adjusted.attainment is None else self.adjusted.spent <= 1

    def to_json(self) -> dict[str, Any]:
        """With fixed keys (see `report --help`): shares of 1, counts, seconds, UTC."""
        return {
            "slo": self.slo.name,
            "service": self.slo.service.name,
            "description": self.slo.description,
            "objective": float(self.slo.target),
            "period": {"name": self.period.name, "start": iso(self.period.start), "end": iso(self.period.end)},
            "unit": self.unit,
            "met": self.met,
            "adjusted": _budget(self.adjusted),
            "unadjusted": _budget(self.unadjusted),
            "allowed_bad": self.allowed_bad,
            "recorded_budget_remaining": self.recorded_remaining,
            "coverage": {
                "slices_present": self.coverage.present,
                "slices_expected": self.coverage.expected,
                "share": self.coverage.share,
                "slice_seconds": int(self.rhythm.length),
                "first_slice": None if self.first_slice is None else iso(self.first_slice),
                "overlapping_left_out": self.overlapping,
                "in_maintenance": self.in_maintenance,
            },
            "restarts": {"counter_resets": self.restarts.resets, "events_uncounted_at_most": self.restarts.uncounted},
            "incidents": [
                {
                    "alert": one.alert,
                    "kind": one.kind,
                    "tier": one.tier,
                    "severity": one.severity,
                    "start": iso(one.start),
                    "end": None if one.end is None else iso(one.end),
                    "seconds": round(one.length_s(self.period.end)),
                    "peak_error_ratio": one.peak_ratio,
                }
                for one in self.incidents
            ],
            "deployments": [
                {
                    "at": iso(one.at.timestamp()),
                    "version": one.version,
                    "environment": one.environment,
                    "author": one.author,
                    "note": one.note,
                }
                for one in self.deployments
            ],
            "maintenance": [
                {
                    "id": one.id,
                    "start": iso(one.start.timestamp()),
                    "end": iso(one.end.timestamp()),
                    "author": one.author,
                    "reason": one.reason,
                    "correction": one.correction,
                }
                for one in self.maintenance
            ],
        }


def figures(slo: Slo, period: Span, rhythm: Rhythm, recorded: Recorded, spans: Iterable[Maintenance]) -> Figures:
    """The report on one SLO; `spans` are all maintenance there is."""
    found = slicing.distinct(recorded.slices, rhythm.length)
    covering = tuple(
        span
        for span in spans
        if span.covers(slo) and span.start.timestamp() < period.end and span.end.timestamp() > period.start
    )
    counted = slicing.without_maintenance(found, rhythm.length, covering)
    return Figures(
        slo=slo,
        period=period,
        rhythm=rhythm,
        adjusted=budget(slo, slicing.tally(counted)),
        unadjusted=budget(slo, slicing.tally(found)),
        coverage=slicing.coverage(found, period.start, period.end, rhythm.interval),
        first_slice=found[0].end if found else None,
        overlapping=len(recorded.slices) - len(found),
        in_maintenance=len(found) - len(counted),
        maintenance=covering,
        incidents=tuple(sorted(recorded.incidents, key=lambda one: one.start)),
        deployments=tuple(recorded.deployments),
        restarts=recorded.restarts,
        recorded_remaining=recorded.remaining,
        slices=tuple(found),
    )


def burn_down(told: Figures) -> list[tuple[float, float]]:
    """(time, share of the period's budget left), one for each slice that counts; it ends at what remains.

    The budget is that of all events of the period, so the line never rises.
    """
    counted = slicing.without_maintenance(told.slices, told.rhythm.length, told.maintenance)
    allowed = float(error_budget(told.slo.target)) * told.adjusted.tally.events
    line, bad = [(told.period.start, 1.0)], 0.0
    for one in counted:
        bad += one.errors
        line.append((one.end, 1 - bad / allowed if allowed else 1.0))
    return line


def ratios(told: Figures, bins: int) -> list[tuple[float, float, float | None]]:
    """(start, end, error ratio) of `bins` equal parts of the period; None where there was no event."""
    width = told.period.length_s / bins
    errors, events = [0.0] * bins, [0.0] * bins
    for one in told.slices:
        at = min(max(math.ceil((one.end - told.period.start) / width) - 1, 0), bins - 1)
        errors[at] += one.errors
        events[at] += one.events
    edges = [told.period.start + i * width for i in range(bins + 1)]
    return [(edges[i], edges[i + 1], Tally(errors[i], events[i]).ratio) for i in range(bins)]


def gaps(told: Figures) -> list[tuple[float, float]]:
    """Spans of the period of which there is no slice."""
    found, at = [], told.period.start
    for one in told.slices:
        # A slice may end up to one interval after the period began and still be the first one.
        if one.end - told.rhythm.interval > at + 1:
            found.append((at, one.end - told.rhythm.interval))
        at = one.end
    if told.period.end - told.rhythm.interval > at + 1:
        found.append((at, told.period.end))
    return found


def _budget(one: Budget) -> dict[str, Any]:
    return {
        "bad": one.tally.errors,
        "total": one.tally.events,
        "attainment": one.attainment,
        "budget_spent": one.spent,
        "budget_remaining": one.remaining,
    }
