"""From what Prometheus recorded to a verdict on one SLO; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from monitoring.maths.burn import error_budget, time_to_exhaustion_s
from monitoring.maths.decimals import percent, plain
from monitoring.maths.durations import Duration
from monitoring.prometheus.shown import shown_length
from monitoring.spec.model import Slo

PASSED, SPENT, NO_DATA = 0, 1, 3
"""Exit statuses; 2 is a mistake in the command, the config or a spec."""

_DIGITS = 9
"""Finer than any float that Prometheus adds up; 1 - 1 must be 0 and not 1e-17."""


@dataclass(frozen=True)
class Reading:
    """What is recorded of one SLO; None where there is no sample. Shares of 1."""

    remaining: float | None
    period_ratio: float | None
    recent_ratio: float | None


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one SLO."""

    slo: Slo
    outcome: Literal["passed", "spent", "no data"]
    remaining: Decimal | None
    """Share of the period's error budget that is left; negative when overspent."""
    attainment: Decimal | None
    """Share of good events in the period; None without traffic."""
    burn_rate: Decimal | None
    """Recent error ratio ÷ error budget: at 1 the budget lasts exactly one period. None without traffic."""
    exhaustion_s: int | None
    """Seconds until what remains is gone at that burn rate; 0 when it is, None when it never will be."""

    def to_json(self) -> dict[str, Any]:
        """With fixed keys: numbers are shares of 1 and seconds, null where nothing is known."""
        return {
            "slo": self.slo.name,
            "service": self.slo.service.name,
            "outcome": self.outcome,
            "objective": float(self.slo.target),
            "period": str(self.slo.period),
            "budget_remaining": _float(self.remaining),
            "attainment": _float(self.attainment),
            "burn_rate": _float(self.burn_rate),
            "seconds_to_exhaustion": self.exhaustion_s,
        }


def judge(slo: Slo, reading: Reading, min_remaining: Decimal, period: Duration) -> Verdict:
    """`spent` when no budget remains, or less than `min_remaining` (a share of it); `period` is on the profile's scale.

    Time to exhaustion supposes that the burn rate stays and that no bad event leaves the period meanwhile.
    """
    remaining, ratio, recent = (_decimal(x) for x in (reading.remaining, reading.period_ratio, reading.recent_ratio))
    burn = None if recent is None else recent / error_budget(slo.target)
    if remaining is None:
        return Verdict(slo, "no data", None, None, burn, None)
    spent = remaining <= 0 or remaining < min_remaining
    attainment = None if ratio is None else 1 - ratio
    return Verdict(
        slo, "spent" if spent else "passed", remaining, attainment, burn, _exhaustion_s(remaining, burn, period)
    )


def status(verdicts: Sequence[Verdict], missing_passes: bool) -> int:
    """The exit status of all together: a spent budget outweighs a missing one."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if "spent" in outcomes:
        return SPENT
    return NO_DATA if "no data" in outcomes and not missing_passes else PASSED


def text(verdict: Verdict, recent: Duration) -> str:
    """One line for people; `recent` is the window of the burn rate."""
    if verdict.remaining is None:
        return f"{verdict.slo.name}: no data: Prometheus has no recorded error budget of this SLO now"
    attained = "no traffic" if verdict.attainment is None else _percent(verdict.attainment)
    burn = "no traffic" if verdict.burn_rate is None else plain(round(verdict.burn_rate, 2))
    return (
        f"{verdict.slo.name}: {verdict.outcome}: {_percent(verdict.remaining)} of the error budget remains; "
        f"attainment {attained} of {percent(verdict.slo.target)} over {verdict.slo.period}; "
        f"burn rate {burn} over {recent}; {_exhaustion(verdict)}"
    )


def _exhaustion(verdict: Verdict) -> str:
    match verdict.exhaustion_s:
        case None:
            return "not being spent"
        case 0:
            return "nothing left"
        case seconds:
            return f"gone in {shown_length(seconds)} at this rate"


def _exhaustion_s(remaining: Decimal, burn: Decimal | None, period: Duration) -> int | None:
    if remaining <= 0:
        return 0
    return max(int(remaining * time_to_exhaustion_s(burn, period)), 1) if burn else None


def _percent(share: Decimal) -> str:
    """
    >>> _percent(Decimal("0.99954321"))
    '99.9543 %'
    """
    return percent(round(share, 6))


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None or not math.isfinite(value) else round(Decimal(value), _DIGITS)


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(round(value, _DIGITS))
