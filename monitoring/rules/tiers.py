"""The four burn-rate tiers, and which of them an SLO can have.

Source: SRE Workbook, ch. 5, table 5-8, with the short window at a twelfth of the long
one. The factor follows from the share of the budget and the SLO's own period, so it
is right for any period, not only for 30 days; it never falls below 1, which would
alert inside the budget. A tier whose window does not fit the period is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from monitoring.errors import Mistake, SpecError
from monitoring.maths.burn import burn_factor, can_fire, error_budget, error_threshold
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.spec.extensions import PREFIX, TIER_NAMES
from monitoring.spec.model import Condition, Severity, Slo


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
    """A burn-rate alert as one SLO has it: both windows above `threshold` spend `factor` times the budget's pace."""

    name: str
    severity: str
    factor: Decimal
    threshold: Decimal
    """The error ratio above which it fires."""
    budget_share: Decimal
    """Of the period's budget; what is spent when `long` has burnt at `factor` throughout."""
    long: Duration
    short: Duration
    hold: Duration | None = None
    notify: tuple[str, ...] = ()
    description: str = ""


def burns(slo: Slo) -> tuple[Burn, ...]:
    """The burn-rate alerts of an SLO, most urgent first: its own conditions, else the tiers it did not switch off.

    Raises SpecError with each that can never fire, or that would fire inside the budget.
    """
    found, refused = _possible(slo)
    if refused:
        raise SpecError(refused.values())
    return found


def threshold_window(slo: Slo) -> Duration | None:
    """The window of the direct alert, None without one. Raises SpecError when it does not fit, or can never fire."""
    window = slo.threshold_window
    if window is None:
        return None
    reason = f"{window} do not fit the period of {slo.period}" if window >= slo.period else _out_of_reach(slo, window)
    if reason:
        raise SpecError([_mistake(slo, f"{PREFIX}threshold-window: {reason}")])
    return window


def without_impossible(slo: Slo) -> tuple[Slo, tuple[Mistake, ...]]:
    """The SLO without the alerts that `burns` would refuse, and why each was left out."""
    _, refused = _possible(slo)
    if slo.conditions is None:
        left = replace(slo, disabled_tiers=slo.disabled_tiers.union(refused))
    else:
        left = replace(slo, conditions=tuple(one for one in slo.conditions if one.name not in refused))
    try:
        threshold_window(slo)
    except SpecError as error:
        refused |= {"threshold": error.mistakes[0]}
        left = replace(left, threshold_window=None)
    return left, tuple(replace(mistake, message=f"{mistake.message} (left out)") for mistake in refused.values())


def unwatched(slo: Slo) -> Mistake | None:
    """Says so when no alert watches an SLO though nobody asked for that: its period is too short for every tier."""
    if slo.conditions is not None or slo.threshold_window or any(tier.long < slo.period for tier in TIERS):
        return None
    reason = (
        f"nothing alerts: every tier's window is at least as long as the period of {slo.period}; declare "
        f"{PREFIX}threshold-window, or a condition with a shorter window"
    )
    return _mistake(slo, reason)


def _possible(slo: Slo) -> tuple[tuple[Burn, ...], dict[str, Mistake]]:
    """The alerts that make sense, and by name why others do not."""
    found: list[Burn] = []
    refused: dict[str, Mistake] = {}
    for one in _wanted(slo) if slo.conditions is None else slo.conditions:
        burn = _tier(slo, one) if isinstance(one, Tier) else _asked_for(slo, one)
        if isinstance(burn, Burn):
            found.append(burn)
        else:
            refused[one.name] = burn
    return tuple(found), refused


def _wanted(slo: Slo) -> list[Tier]:
    fitting = (tier for tier in TIERS if tier.name not in slo.disabled_tiers and tier.long < slo.period)
    return [tier for tier in fitting if slo.slices is None or tier.long >= slo.slices.window]


def _tier(slo: Slo, tier: Tier) -> Burn | Mistake:
    remedy = f"or switch it off with {PREFIX}disabled-tiers: {tier.name}"
    # A share of a short period may come to less than the budget's own pace; at exactly that pace nothing is amiss.
    factor = max(burn_factor(tier.budget_share, tier.long, slo.period), Decimal(1))
    if reason := _impossible(factor, slo.target) or _out_of_reach(slo, tier.long):
        return _mistake(slo, f"tier {tier.name}: {reason}; {remedy}")
    threshold = error_threshold(factor, slo.target)
    share = (factor * tier.long / slo.period).normalize()
    return Burn(tier.name, tier.severity, factor, threshold, share, tier.long, tier.short)


def _asked_for(slo: Slo, condition: Condition) -> Burn | Mistake:
    if condition.long >= slo.period:
        reason = f"its window of {condition.long} does not fit the period of {slo.period}"
    else:
        reason = _impossible(condition.factor, slo.target) or _out_of_reach(slo, condition.long)
    if reason:
        return Mistake(condition.file, condition.line, f"{slo.name}: {condition.name}: {reason}")
    return Burn(
        condition.name,
        condition.severity,
        condition.factor,
        error_threshold(condition.factor, slo.target),
        (condition.factor * condition.long / slo.period).normalize(),
        condition.long,
        condition.short,
        condition.hold,
        condition.notify,
        condition.description,
    )


def _out_of_reach(slo: Slo, window: Duration) -> str:
    """Why an alert over this window never has the bad events that its guard asks for; empty when it may."""
    if slo.slices is None or slo.min_bad_events * slo.slices.window <= window:
        return ""
    return (
        f"it can never fire, since {window} hold fewer than {slo.min_bad_events} slices of {slo.slices.window}, and so "
        f"many must be bad; lower {PREFIX}min-bad-events"
    )


def _impossible(factor: Decimal, target: Decimal) -> str:
    """Why a burn-rate alert makes no sense; empty when it does."""
    if factor < 1:
        return f"its burn rate of {plain(round(factor, 4))} is below 1, so it alerts inside the budget"
    if not can_fire(factor, target):
        lowest = plain(round(1 - 1 / factor, 4))
        return (
            f"it can never fire at a target of {plain(target)}, since even a total outage burns no more than "
            f"{plain(1 / error_budget(target))[:6]} times too fast; raise the target above {lowest}"
        )
    return ""


def _mistake(slo: Slo, reason: str) -> Mistake:
    return Mistake(slo.file, slo.line, f"{slo.name}: {reason}")
