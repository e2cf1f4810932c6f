"""Asks Prometheus for what a report needs."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.deployments.journal import Deployment
from monitoring.maths.durations import Duration
from monitoring.prometheus import firing, slices
from monitoring.prometheus.client import Client, Labels, spans
from monitoring.prometheus.read import read_slices
from monitoring.report.figures import Incident, Recorded, Restarts
from monitoring.report.period import Span
from monitoring.rules import data, names
from monitoring.rules.model import Alert, Group
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns
from monitoring.spec.model import EventSli, Slo

RESETS_AT_ONCE_S = 86400
"""Resets are counted a day at a time: a month of raw samples at once is more than Prometheus gives."""


def recorded(
    client: Client,
    slo: Slo,
    groups: Sequence[Group],
    profile: Profile,
    period: Span,
    own: bool,
    deployments: Sequence[Deployment],
) -> Recorded:
    """Everything of one SLO in one period; `own`: it is the one that the recorded budget is about.

    Raises PrometheusError.
    """
    rhythm = slices.rhythm(groups, profile)
    remaining = client.scalar(names.of(names.BUDGET_REMAINING, slo.name), period.end) if own else None
    return Recorded(
        read_slices(client, slo, rhythm, period.start, period.end),
        _incidents(client, slo, groups, profile, period),
        [one for one in deployments if period.start < one.at.timestamp() <= period.end],
        _restarts(client, slo, profile, period),
        remaining,
    )


def _incidents(client: Client, slo: Slo, groups: Sequence[Group], profile: Profile, period: Span) -> list[Incident]:
    groups = (*groups, *data.rule_file([slo], profile).groups)
    intervals = {rule.alert: group.interval for group in groups for rule in group.rules if isinstance(rule, Alert)}
    intervals |= {
        f"{rule.alert}/{rule.labels.get('tier', '')}": group.interval
        for group in groups
        for rule in group.rules
        if isinstance(rule, Alert)
    }
    windows = _short_windows(slo, profile)
    found = []
    selector = f'ALERTS{{alertstate="firing",slo_id="{slo.name}"}}'
    for series in client.raw(selector, period.start, period.end):
        labels = series.labels
        alert, tier = labels.get("alertname", ""), labels.get("tier", "")
        interval = intervals.get(f"{alert}/{tier}") or intervals.get(alert) or profile.evaluation_interval
        window = windows.get(tier or labels.get("kind", ""))
        for one in firing.recorded(series.points, interval, period.end):
            peak = _peak(client, slo, window, one.start, one.end or period.end) if window else None
            found.append(_incident(labels, one.start, one.end, peak))
    return found


def _short_windows(slo: Slo, profile: Profile) -> dict[str, Duration]:
    """The window whose ratio shows an alert's peak best, by tier, and by kind for alerts without one."""
    windows = {burn.name: profile.window(burn.short) for burn in burns(slo)}
    return windows | ({"threshold": profile.window(slo.threshold_window)} if slo.threshold_window else {})


def _peak(client: Client, slo: Slo, window: Duration, start: float, end: float) -> float | None:
    ratio = names.of(names.errors_ratio(window), slo.name)
    length_ms = max(round((end - start) * 1000), 1)
    return client.scalar(f"max without (service) (max_over_time({ratio}[{length_ms}ms]))", end)


def _incident(labels: Labels, start: float, end: float | None, peak: float | None) -> Incident:
    alert, kind, tier, severity = (labels.get(name, "") for name in ("alertname", "kind", "tier", "severity"))
    return Incident(alert, kind, tier, severity, start, end, peak)


def _restarts(client: Client, slo: Slo, profile: Profile, period: Span) -> Restarts:
    selectors = slo.sli.total.selectors if isinstance(slo.sli, EventSli) else ()
    resets = uncounted = 0.0
    for selector in selectors:
        for start, end in spans(period.start, period.end, RESETS_AT_ONCE_S):
            # One scrape earlier, or a reset between two days would be in neither.
            length_ms = round((end - start + profile.scrape_interval) * 1000)
            over = f"{selector}[{length_ms}ms]"
            resets += client.scalar(f"sum(resets({over}))", end) or 0.0
            uncounted += (client.scalar(f"sum(resets({over}) * rate({over}))", end) or 0.0) * profile.scrape_interval
    return Restarts(resets, uncounted)
