"""Sentences that the text and the page of a report share; pure."""

from __future__ import annotations

from monitoring.prometheus.shown import number, percent, shown_time
from monitoring.report.figures import Figures, Incident


def verdict(told: Figures) -> str:
    """In a word or two."""
    if told.met is None:
        return "no traffic" if told.slices else "no data"
    return "met" if told.met else "missed"


def urgency(one: Incident) -> str:
    """The tier, which says page or ticket; other alerts by severity and kind."""
    if one.tier.startswith(f"{one.severity}-"):
        return one.tier
    return ", ".join(word for word in (one.severity, one.tier or one.kind) if word)


def attainment_words(told: Figures) -> str:
    """The share of good events beside what was promised."""
    target = f"target {percent(float(told.slo.target))}"
    if told.maintenance and told.unadjusted.attainment is not None:
        target += f"; {percent(told.unadjusted.attainment)} with maintenance"
    return f"{percent(told.adjusted.attainment)} ({target})"


def coverage_words(told: Figures) -> str:
    """How much of the period was measured; never left out."""
    coverage = told.coverage
    parts = [f"{coverage.present} of {coverage.expected} slices of {told.rhythm.length} ({percent(coverage.share, 2)})"]
    if told.first_slice is None:
        parts.append("nothing was recorded")
    elif told.first_slice > told.period.start + 2 * told.rhythm.interval:
        parts.append(f"the first at {shown_time(told.first_slice)}")
    if told.rhythm.interval > told.rhythm.length:
        parts.append(f"one each {told.rhythm.interval}: what lies between two is not counted")
    if told.overlapping:
        parts.append(f"{told.overlapping} more overlap others and are left out")
    if told.in_maintenance:
        parts.append(f"{told.in_maintenance} of them in maintenance")
    return "; ".join(parts)


def recorded_words(told: Figures) -> str:
    """What Prometheus itself recorded as the budget that is left."""
    if told.recorded_remaining is None:
        return "no recorded budget of this period to compare"
    return f"recorded: {percent(told.recorded_remaining, 2)} left"


def restart_words(told: Figures) -> str:
    """What restarts may have hidden; empty without any."""
    if not told.restarts.resets:
        return ""
    return (
        f"{number(told.restarts.resets)} counter resets; at most about {number(told.restarts.uncounted)} {told.unit} "
        "may be uncounted (mean rate × scrape interval)"
    )
