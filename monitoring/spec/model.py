"""What an SLO is, once its file has been read and found right; plain values.

Whatever format a spec came in, an SLI is one of four kinds:

- `EventSli`: events are counted good or bad out of a total, over any window.
- `RatioSli`: a query that gives an error ratio over any window and nothing to count.
- `SampleSli`: a query that says how bad this moment is, from 0 to 1; each evaluation is an event.
- `CompositeSli`: several of these, weighed.

`Slo.slices` says that not events but slices of time spend the budget (OpenSLO's
Timeslices and RatioTimeslices). docs/slos.md has the mathematics of each combination.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from monitoring.maths.durations import Duration
from monitoring.promql import Selector

Severity = Literal["page", "ticket"]
NoTraffic = Literal["ignore", "good", "bad"]
CalendarUnit = Literal["day", "week", "month", "quarter", "year"]

WINDOW = "$window"
"""Stands in a query's template where a range goes, as in `sum(increase(x[$window]))`."""


@dataclass(frozen=True)
class Service:
    """Something people rely on; SLOs belong to one."""

    name: str
    display_name: str


@dataclass(frozen=True)
class Query:
    """PromQL with WINDOW in the place of each range; one value without labels comes out.

    `selectors` are the metrics that it reads, in the order of its text.
    """

    template: str
    selectors: tuple[Selector, ...]

    def over(self, window: Duration) -> str:
        """The query for one window.

        >>> Query("sum(increase(x[$window]))", ()).over(Duration(300))
        'sum(increase(x[5m]))'
        """
        return self.template.replace(WINDOW, str(window))


@dataclass(frozen=True)
class EventSli:
    """Events counted good or bad out of a total; exactly one of `good` and `bad` is given."""

    total: Query
    good: Query | None = None
    bad: Query | None = None

    @property
    def is_plain(self) -> bool:
        """Whether good and total are a counter each, whose labels can be looked at."""
        queries = (self.total, self.good)
        return all(q and q.template == f"sum(increase({q.selectors[0]}[{WINDOW}]))" for q in queries)


@dataclass(frozen=True)
class RatioSli:
    """An error ratio over a window, from 0 to 1; how many events stand behind it is unknown."""

    error: Query


@dataclass(frozen=True)
class SampleSli:
    """How bad this moment is, from 0 (good) to 1 (bad): PromQL of one value without labels, no range to fill."""

    error: str
    selectors: tuple[Selector, ...]


SimpleSli = EventSli | RatioSli | SampleSli


@dataclass(frozen=True)
class Part:
    """One objective of a composite; `weight` > 0."""

    name: str
    weight: Decimal
    target: Decimal
    sli: SimpleSli


@dataclass(frozen=True)
class CompositeSli:
    """Several SLIs as one: with Occurrences an event of a part counts `weight` times,
    with slices each slice is the weighted mean over the parts that had traffic."""

    parts: tuple[Part, ...]


Sli = SimpleSli | CompositeSli


@dataclass(frozen=True)
class Slices:
    """Time is budgeted in slices of `window`.

    With a `target` a slice is bad when its share of good events is below it
    (Timeslices); without, a slice is as bad as its error ratio (RatioTimeslices).
    """

    window: Duration
    target: Decimal | None = None


@dataclass(frozen=True)
class Calendar:
    """Periods of `count` units that begin at `anchor`, a local time of `time_zone`, and repeat."""

    anchor: datetime
    time_zone: str
    count: int
    unit: CalendarUnit


@dataclass(frozen=True)
class Condition:
    """A burn-rate alert that the spec itself asks for, in place of the usual four tiers.

    Fires when the budget burns more than `factor` times as fast as it may, over `long`
    and over `short`. `source` says where it is written, for errors.
    """

    name: str
    severity: str
    factor: Decimal
    long: Duration
    short: Duration
    hold: Duration | None = None
    description: str = ""
    notify: tuple[str, ...] = ()
    file: str = ""
    line: int = 1


@dataclass(frozen=True)
class AlertTexts:
    """What a spec adds to its alerts: a name, labels and annotations for all, and per severity.

    Our own labels (slo_id, service, tier, kind) always win; `severity` may be replaced.
    """

    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    page_labels: Mapping[str, str] = field(default_factory=dict)
    page_annotations: Mapping[str, str] = field(default_factory=dict)
    ticket_labels: Mapping[str, str] = field(default_factory=dict)
    ticket_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slo:
    """One objective: over `period`, at least the share `target` of events (or of slices) is good."""

    name: str
    """Unique among all SLOs; the label `slo_id`. Lowercase letters, digits, '-' and '.'."""
    display_name: str
    description: str
    service: Service
    target: Decimal
    period: Duration
    """With a calendar: the nominal length (30 days a month, 365 a year), which burn rates are taken from."""
    sli: Sli
    runbook: str
    dashboard: str | None
    threshold_window: Duration | None
    """Declares the direct alert: more than `1 - target` bad over this window."""
    min_bad_events: int
    """Fewer bad events than this in the window never alert, however large their share."""
    disabled_tiers: frozenset[str]
    file: str
    line: int
    calendar: Calendar | None = None
    """None: the period rolls."""
    slices: Slices | None = None
    """None: events spend the budget (Occurrences)."""
    no_traffic: NoTraffic = "ignore"
    conditions: tuple[Condition, ...] | None = None
    """None: the four tiers; empty: no burn-rate alert at all."""
    texts: AlertTexts = field(default_factory=AlertTexts)
    labels: Mapping[str, str] = field(default_factory=dict)
    """The spec's own labels, with names that Prometheus accepts; every alert carries them."""
    notify: tuple[str, ...] = ()
    """Names of receivers (AlertNotificationTargets) that hear its alerts beside those of the severity."""
    quorum: str | None = None
    """A label that tells observers apart: no page before two of them see it, or the only one there is."""
    alert_when_no_data: bool = True
    send_resolved: bool = True

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Every metric the SLI reads, each once."""
        return tuple(dict.fromkeys(_selectors(self.sli)))


def _selectors(sli: Sli) -> list[Selector]:
    match sli:
        case EventSli():
            queries = [query for query in (sli.total, sli.good, sli.bad) if query]
            return [selector for query in queries for selector in query.selectors]
        case RatioSli():
            return list(sli.error.selectors)
        case SampleSli():
            return list(sli.selectors)
        case CompositeSli():
            return [selector for part in sli.parts for selector in _selectors(part.sli)]
