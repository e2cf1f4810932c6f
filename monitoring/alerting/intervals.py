"""Maintenance as Alertmanager's time intervals, and whom each of them quiets.

Alertmanager 0.25 has no dates with times: an interval is minutes of a day, within days,
months and years, so a span is cut at each midnight (UTC). It counts whole minutes; a
span is widened to them, start down and end up, by less than a minute each.

An interval hangs on routes that match what it covers and nothing else: SLOs by
`slo_id`, services by `service`, everything by no matcher at all. Mute intervals are not
inherited by child routes, so whoever builds the routes hangs them on every leaf.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.alerting.matchers import one_of
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import Slo

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Quiet:
    """Alerts that are quiet in the same spans. `matchers` is empty for all that is not in another one."""

    matchers: tuple[str, ...]
    slos: frozenset[str]
    services: frozenset[str]
    intervals: tuple[str, ...]
    """Names of time intervals."""


def interval_name(span: Maintenance) -> str:
    """What the time interval of a span is called."""
    return f"maintenance/{span.id}"


def minutes(span: Maintenance) -> tuple[datetime, datetime] | None:
    """From which whole minute to which one a span quiets alerts, in UTC; None when it quiets nothing.

    A correction quiets nothing before it was declared: what was told was told.
    """
    start = max(span.start, span.declared) if span.correction and span.declared else span.start
    if start >= span.end:
        return None
    start, end = start.astimezone(UTC), span.end.astimezone(UTC)
    up = end.replace(second=0, microsecond=0)
    return start.replace(second=0, microsecond=0), up if up == end else up + _MINUTE


def time_intervals(maintenances: Sequence[Maintenance]) -> list[dict[str, Any]]:
    """`time_intervals` of alertmanager.yml."""
    quieting = [(span, found) for span in maintenances if (found := minutes(span))]
    return [{"name": interval_name(span), "time_intervals": _days(*found)} for span, found in quieting]


def _days(start: datetime, end: datetime) -> list[dict[str, Any]]:
    """One entry a day; the end of a day is 24:00."""
    entries: list[dict[str, Any]] = []
    while start < end:
        midnight = start.replace(hour=0, minute=0) + _DAY
        until = "24:00" if end >= midnight else f"{end:%H:%M}"
        entries.append(
            {
                "times": [{"start_time": f"{start:%H:%M}", "end_time": until}],
                "days_of_month": [f"{start.day}"],
                "months": [f"{start.month}"],
                "years": [f"{start.year}"],
                "location": "UTC",
            }
        )
        start = midnight
    return entries


def quiets(maintenances: Sequence[Maintenance], slos: Collection[Slo]) -> tuple[Quiet, ...]:
    """Whom the spans cover, each alert in the first that matches it; the last one matches every alert.

    SLOs that a span names come before their services, since they are covered by more.
    """
    quieting = [span for span in maintenances if minutes(span)]
    named_slos = frozenset[str]().union(*(span.slos for span in quieting))
    named_services = frozenset[str]().union(*(span.services for span in quieting))
    by_slo = _grouped(
        {slo.name: [span for span in quieting if span.covers(slo)] for slo in slos if slo.name in named_slos}
    )
    by_service = _grouped(
        {name: [span for span in quieting if span.everything or name in span.services] for name in named_services}
    )
    nobody = frozenset[str]()
    return (
        *(Quiet((one_of("slo_id", names),), names, nobody, names_of) for names_of, names in by_slo),
        *(Quiet((one_of("service", names),), nobody, names, names_of) for names_of, names in by_service),
        Quiet((), nobody, nobody, _names(span for span in quieting if span.everything)),
    )


def _grouped(spans: dict[str, list[Maintenance]]) -> list[tuple[tuple[str, ...], frozenset[str]]]:
    found: dict[tuple[str, ...], set[str]] = {}
    for name, some in spans.items():
        found.setdefault(_names(some), set()).add(name)
    return sorted((intervals, frozenset(names)) for intervals, names in found.items())


def _names(some: Any) -> tuple[str, ...]:
    return tuple(sorted(interval_name(span) for span in some))
