"""The four burn-rate tiers, and which of them an SLO can have.

Source: SRE Workbook, ch. 5, table 5-8, with the short window at a twelfth of the long
one. The factor follows from the share of the budget and the SLO's own period, so it
is right for any period, not only for 30 days.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from monitoring.errors import Mistake, SpecError
from monitoring.maths.burn import burn_factor, can_fire, error_threshold
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.spec.extensions import PREFIX, TIER_NAMES
from monitoring.spec.model import Slo

Severity = Literal["page", "ticket"]


@dataclass(frozen=True)
class Tier:
    """Alert when `budget_share` of the budget went in `long` and `short` says it still goes."""

    name: str
    severity: Severity
    budget_share: Decimal
    long: Duration
    short: Duration


_POLICY: tuple[tuple[Severity, str, str, str], ...] = (
    ("page", "0.02", "1h", "5m"),
    ("page", "0.05", "6h", "30m"),
    ("ticket", "0.10", "1d", "2h"),
    ("ticket", "0.10", "3d", "6h"),
)

TIERS = tuple(
    Tier(name, severity, Decimal(share), Duration.parse(long), Duration.parse(short))
    for name, (severity, share, long, short) in zip(TIER_NAMES, _POLICY, strict=True)
)


@dataclass(frozen=True)
class Burn:
    """A tier as one SLO has it: its factor, and the error ratio above which it fires."""

    tier: Tier
    factor: Decimal
    threshold: Decimal


def burns(slo: Slo) -> tuple[Burn, ...]:
    """The tiers of an SLO, most urgent first, without those it switched off.

    Raises SpecError for a tier that can never fire, or that would fire inside the budget.
    """
    wanted = [tier for tier in TIERS if tier.name not in slo.disabled_tiers]
    return tuple(_burn(slo, tier) for tier in wanted)


def _burn(slo: Slo, tier: Tier) -> Burn:
    if tier.long >= slo.period:
        raise _refused(slo, tier, f"its window of {tier.long} does not fit the period of {slo.period}")
    factor = burn_factor(tier.budget_share, tier.long, slo.period)
    if factor < 1:
        raise _refused(slo, tier, f"its burn rate of {factor:.4f} is below 1, so it alerts inside the budget")
    if not can_fire(factor, slo.target):
        lowest = 1 - 1 / factor
        raise _refused(
            slo,
            tier,
            f"it can never fire at a target of {plain(slo.target)}, since even a total outage burns less than "
            f"{plain(factor)} times too fast; raise the target above {lowest:.4f}",
        )
    return Burn(tier, factor, error_threshold(factor, slo.target))


def _refused(slo: Slo, tier: Tier, reason: str) -> SpecError:
    message = f"{slo.name}: tier {tier.name}: {reason}; or switch it off with {PREFIX}disabled-tiers: {tier.name}"
    return SpecError([Mistake(slo.file, slo.line, message)])
