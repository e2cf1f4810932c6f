"""Burn rates: how fast an error budget is spent, when that is noticed, and when the alert resets.

Source: Google, The Site Reliability Workbook, chapter 5, "Alerting on SLOs". Ratios and
targets are exact decimals in (0, 1); times are seconds.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from monitoring.errors import OutOfRangeError


def error_budget(target: Decimal) -> Decimal:
    """The share of events that may be bad. Raises OutOfRangeError unless 0 < target < 1.

    >>> error_budget(Decimal("0.999"))
    Decimal('0.001')
    """
    if not 0 < target < 1:
        raise OutOfRangeError(f"a target lies strictly between 0 and 1, not at {target}")
    return 1 - target


def burn_factor(budget_share: Decimal, window_s: int, period_s: int) -> Decimal:
    """Burn rate that spends `budget_share` of the budget in one window.

    budget_share is in (0, 1]; 0 < window_s <= period_s, in seconds.
    Raises OutOfRangeError outside those bounds. Source: SRE Workbook, ch. 5.

    >>> burn_factor(Decimal("0.02"), 3600, 30 * 86400)
    Decimal('14.4')
    """
    if not 0 < budget_share <= 1:
        raise OutOfRangeError(f"a share of the budget lies in (0, 1], not at {budget_share}")
    if not 0 < window_s <= period_s:
        raise OutOfRangeError(f"a window of {window_s} s does not fit a period of {period_s} s")
    return (budget_share * period_s / window_s).normalize()


def error_threshold(factor: Decimal, target: Decimal) -> Decimal:
    """The error ratio at which the budget burns `factor` times as fast as it may.

    >>> error_threshold(Decimal("14.4"), Decimal("0.999"))
    Decimal('0.0144')
    """
    return factor * error_budget(target)


def can_fire(factor: Decimal, target: Decimal) -> bool:
    """Whether any error ratio, up to a total outage, lies above the tier's threshold.

    A tier is impossible at a target of `1 - 1/factor` or below.

    >>> can_fire(Decimal("14.4"), Decimal("0.93")), can_fire(Decimal("14.4"), Decimal("0.95"))
    (False, True)
    """
    return error_threshold(factor, target) < 1


def time_to_exhaustion_s(factor: Decimal, period_s: int) -> Decimal:
    """How long a whole budget lasts at this burn rate.

    >>> time_to_exhaustion_s(Decimal("14.4"), 30 * 86400)
    Decimal('1.8E+5')
    """
    return (period_s / factor).normalize()


def time_to_detect_s(factor: Decimal, target: Decimal, long_window_s: int, error_ratio: Decimal) -> Decimal | None:
    """Time from the first bad event until the long window lies above the threshold; None when it never does.

    Assumes steady traffic and a healthy history at least as long as the window.
    Scrape, evaluation, `for` and group_wait come on top.

    >>> time_to_detect_s(Decimal("14.4"), Decimal("0.999"), 3600, Decimal(1))
    Decimal('51.84')
    >>> time_to_detect_s(Decimal("14.4"), Decimal("0.999"), 3600, Decimal("0.014")) is None
    True
    """
    threshold = error_threshold(factor, target)
    if error_ratio <= threshold:
        return None
    return (threshold / error_ratio * long_window_s).normalize()


def time_to_reset_s(factor: Decimal, target: Decimal, short_window_s: int, error_ratio: Decimal) -> Decimal:
    """Time from the last bad event until the short window lies below the threshold again.

    Assumes the fault lasted at least one short window. Zero when it never was above.

    >>> time_to_reset_s(Decimal("14.4"), Decimal("0.999"), 300, Decimal(1))
    Decimal('295.68')
    """
    threshold = error_threshold(factor, target)
    if error_ratio <= threshold:
        return Decimal(0)
    return ((1 - threshold / error_ratio) * short_window_s).normalize()


def outage_budget_s(target: Decimal, period_s: int) -> Decimal:
    """How long a total outage may last, at steady traffic, until the budget of a period is spent.

    >>> outage_budget_s(Decimal("0.999"), 30 * 86400)
    Decimal('2592')
    """
    return (error_budget(target) * period_s).normalize()


def budget_spent(target: Decimal, period_s: int, error_ratio: Decimal, lasting_s: Decimal) -> Decimal:
    """The share of a period's budget that a failure of this size and length spends, at steady traffic.

    >>> budget_spent(Decimal("0.999"), 30 * 86400, Decimal(1), Decimal("51.84"))
    Decimal('0.02')
    """
    return (error_ratio * lasting_s / outage_budget_s(target, period_s)).normalize()


def detected_above(factor: Decimal, target: Decimal, long_window_s: int, within_s: Decimal) -> Decimal | None:
    """The error ratio that is noticed in exactly `within_s`: worse is noticed sooner, milder later or never.

    None when not even a total outage is noticed in that time. Never below the
    threshold, at and below which nothing is noticed however long it lasts.

    >>> detected_above(Decimal("14.4"), Decimal("0.999"), 3600, Decimal(300))
    Decimal('0.1728')
    >>> detected_above(Decimal("14.4"), Decimal("0.95"), 3600, Decimal(300)) is None
    True
    >>> detected_above(Decimal(1), Decimal("0.95"), 120, Decimal(300))
    Decimal('0.05')
    """
    threshold = error_threshold(factor, target)
    if threshold >= 1 or threshold * long_window_s > within_s:
        return None
    return max(threshold, threshold * long_window_s / within_s).normalize()


def lone_failure_limit(factor: Decimal, target: Decimal) -> int:
    """The most requests a long window may hold for a single failure among them to lie above the threshold.

    >>> lone_failure_limit(Decimal("14.4"), Decimal("0.999")), lone_failure_limit(Decimal(1), Decimal("0.999"))
    (69, 999)
    """
    return int((1 / error_threshold(factor, target)).to_integral_value(ROUND_CEILING)) - 1


def time_to_collect_s(min_bad_events: int, events_per_s: Decimal, error_ratio: Decimal) -> Decimal:
    """How long a failure takes to make so many bad events; `events_per_s` and `error_ratio` > 0.

    >>> time_to_collect_s(3, Decimal("0.1"), Decimal(1))
    Decimal('3E+1')
    """
    return (min_bad_events / (events_per_s * error_ratio)).normalize()
