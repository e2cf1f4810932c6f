"""Everything `explain` says of one SLO, as figures; pure.

The alerts are those of the SLO's own rules (`slo_file`), so what is explained is what
runs. The direct alert obeys the same closed forms as a tier: burn factor 1 over its
window. Times assume steady traffic after a healthy history; where windows are scaled
down, so are the times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from monitoring.maths import burn as maths
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.rules.build import slo_file
from monitoring.rules.model import Alert, Group, RuleFile
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns
from monitoring.spec.model import CompositeSli, EventSli, RatioSli, SampleSli, SimpleSli, Slo

DIRECT = "direct"
"""The name under which the direct (threshold) alert stands among the tiers."""

QUICK = Duration.parse("5m")
"""How soon a page is expected; what no alert pages within it is named."""

RATIOS = tuple(map(Decimal, ("1", "0.5", "0.2", "0.1", "0.05", "0.02", "0.01", "0.005", "0.002", "0.001", "0.0005")))

RATES = tuple(
    (name, Decimal(count) / per_s)
    for name, count, per_s in (
        ("100 a second", 100, 1),
        ("10 a second", 10, 1),
        ("1 a second", 1, 1),
        ("10 a minute", 10, 60),
        ("1 a minute", 1, 60),
        ("10 an hour", 10, 3600),
        ("1 an hour", 1, 3600),
    )
)
"""Traffic that the guard is explained for: (name, events a second)."""

OUTAGES = tuple(map(Duration.parse, ("1m", "5m", "30m", "1h")))
"""Lengths of a total outage whose least visible traffic is told."""


@dataclass(frozen=True)
class AlertFacts:
    """One alert; windows, `hold` and `evaluation` on the profile's scale."""

    name: str
    severity: str
    factor: Decimal
    threshold: Decimal
    """The error ratio above which it fires."""
    long: Duration
    short: Duration
    hold: Duration
    evaluation: Duration
    spent: Decimal
    """Share of the budget that is gone when both windows are above the threshold, whatever the error ratio."""
    lone_failure_limit: int
    """With at most so many events in the long window a single failure lies above the threshold."""
    guard_s: Decimal = Decimal(0)
    """Where time is counted: how long a total outage takes to make the bad slices that the guard asks for."""


@dataclass(frozen=True)
class Detection:
    """One alert at one error ratio, in seconds; None: never."""

    alert: str
    ratio: Decimal
    detect_s: Decimal | None
    """Until both windows are above the threshold and, where time is counted, the guard is passed."""
    felt_s: Decimal | None
    """At the latest until a person hears of it: and a scrape, an evaluation, `for` and group_wait."""
    reset_s: Decimal | None
    """From the end of a failure that lasted a whole short window."""
    spent: Decimal | None
    """Share of the budget gone at `detect_s` and the `for` after it."""


@dataclass(frozen=True)
class Blind:
    """What no alert pages within `within`."""

    within: Duration
    above: Decimal | None
    """Failures with a smaller share of bad events page too late or never; None: even a total outage pages too late."""
    above_alert: str | None
    above_felt: Decimal | None
    """The same when a person must have heard of it within the time."""
    never: Decimal | None
    """Up to this share nothing pages, however long it lasts; None: nothing pages at all."""
    outage_s: Decimal | None
    """When a total outage pages, without what comes on top; None: never."""
    outage_felt_s: Decimal | None
    outage_alert: str | None


@dataclass(frozen=True)
class Seen:
    """From how much traffic on the guard lets one alert see a total outage."""

    alert: str
    rate: str
    events_per_s: Decimal
    after_s: Decimal | None
    """Until threshold and guard are both passed; None: the window never holds enough bad events."""


@dataclass(frozen=True)
class Cost:
    """What this SLO adds to Prometheus."""

    series: int
    alert_rules: int
    evaluations_per_hour: int
    samples_per_day: int


@dataclass(frozen=True)
class Explanation:
    """All figures of one SLO."""

    slo: Slo
    profile: Profile
    group_wait: Duration
    unit: str
    """What spends the budget: events, samples, slices, or a share of something that cannot be counted."""
    period: Duration
    """On the profile's scale."""
    queries: tuple[tuple[str, str], ...]
    """(role, PromQL)."""
    budget: Decimal
    outage_budget_s: Decimal
    """Of the period as the spec says it."""
    alerts: tuple[AlertFacts, ...]
    detections: tuple[Detection, ...]
    blind: Blind
    burn_blind: Blind | None
    """The same by burn rate alone, where there is a direct alert beside it."""
    events_per_s: Decimal | None
    """Fixed where time is counted (samples, slices); None where traffic decides."""
    counted: bool
    """Whether bad events can be counted, so that the guard means something."""
    seen: tuple[Seen, ...]
    cost: Cost

    def alert(self, name: str) -> AlertFacts:
        """One of its alerts."""
        return next(alert for alert in self.alerts if alert.name == name)

    def detection(self, alert: str, ratio: Decimal) -> Detection:
        """How an alert answers to an error ratio, of the table or not."""
        return _detection(self.alert(alert), ratio, self.slo.target, self.period, _overhead(self))

    def first_page(self, ratio: Decimal) -> Detection | None:
        """The page that a failure of this size causes first; None when none does."""
        pages = [self.detection(alert.name, ratio) for alert in self.alerts if alert.severity == "page"]
        heard = [page for page in pages if page.felt_s is not None]
        return min(heard, key=lambda page: page.felt_s or 0, default=None)


def explain(slo: Slo, profile: Profile, group_wait: Duration) -> Explanation:
    """The figures of one SLO. Raises SpecError for an impossible tier, OutOfRangeError for too short a window."""
    rules = slo_file(slo, profile)
    period = Duration(slo.period.divided(profile.divisor))
    alerts = tuple(_alerts(slo, profile, rules, period))
    wait = {alert.name: _wait(alert, profile, group_wait) for alert in alerts}
    detections = tuple(
        _detection(alert, ratio, slo.target, period, wait) for ratio in _ratios(alerts) for alert in alerts
    )
    within = QUICK.divided(profile.divisor)
    tiers = [alert for alert in alerts if alert.name != DIRECT]
    rate = _fixed_rate(slo, profile)
    return Explanation(
        slo=slo,
        profile=profile,
        group_wait=group_wait,
        unit=_unit(slo),
        period=period,
        queries=tuple(queries(slo)),
        budget=maths.error_budget(slo.target),
        outage_budget_s=maths.outage_budget_s(slo.target, slo.period),
        alerts=alerts,
        detections=detections,
        blind=_blind(alerts, slo.target, within, wait),
        burn_blind=_blind(tiers, slo.target, within, wait) if slo.threshold_window else None,
        events_per_s=rate,
        counted=_counted(slo),
        seen=tuple(_seen(alerts, slo)) if rate is None and _counted(slo) else (),
        cost=_cost(rules),
    )


def queries(slo: Slo) -> Iterable[tuple[str, str]]:
    """What the SLI asks Prometheus: (role, PromQL), $window where the window goes."""
    if not isinstance(slo.sli, CompositeSli):
        yield from _simple_queries(slo.sli)
        return
    for part in slo.sli.parts:
        for role, query in _simple_queries(part.sli):
            yield f"{part.name} (weight {plain(part.weight)}): {role}", query


def _simple_queries(sli: SimpleSli) -> Iterable[tuple[str, str]]:
    match sli:
        case EventSli():
            roles = (("good", sli.good), ("bad", sli.bad), ("total", sli.total))
            yield from ((role, query.template) for role, query in roles if query)
        case RatioSli():
            yield "error ratio", sli.error.template
        case SampleSli():
            yield "how bad this moment is, 0 to 1", sli.error


def _unit(slo: Slo) -> str:
    if slo.slices:
        return f"slices of {slo.slices.window}"
    match slo.sli:
        case SampleSli():
            return "samples"
        case RatioSli():
            return "the measured share"
        case CompositeSli():
            return "weighted events"
        case EventSli():
            return "events"


def _counted(slo: Slo) -> bool:
    return slo.slices is not None or not isinstance(slo.sli, RatioSli)


def _fixed_rate(slo: Slo, profile: Profile) -> Decimal | None:
    if slo.slices:
        return Decimal(1) / slo.slices.window.divided(profile.divisor)
    return Decimal(1) / profile.evaluation_interval if isinstance(slo.sli, SampleSli) else None


def _alerts(slo: Slo, profile: Profile, rules: RuleFile, period: Duration) -> Iterable[AlertFacts]:
    found = list(_alert_rules(rules))
    for burn in burns(slo):
        rule = next(((alert, group) for alert, group in found if alert.labels.get("tier") == burn.name), None)
        yield _facts(
            slo, period, burn.name, burn.severity, burn.factor,
            (profile.window(burn.long), profile.window(burn.short)), rule, profile,
        )  # fmt: skip
    if slo.threshold_window:
        window = profile.window(slo.threshold_window)
        rule = next(((alert, group) for alert, group in found if alert.labels.get("kind") == "threshold"), None)
        severity = rule[0].labels["severity"] if rule else "page"
        yield _facts(slo, period, DIRECT, severity, Decimal(1), (window, window), rule, profile)


def _alert_rules(rules: RuleFile) -> Iterable[tuple[Alert, Group]]:
    return ((rule, group) for group in rules.groups for rule in group.rules if isinstance(rule, Alert))


def _facts(
    slo: Slo,
    period: Duration,
    name: str,
    severity: str,
    factor: Decimal,
    windows: tuple[Duration, Duration],
    rule: tuple[Alert, Group] | None,
    profile: Profile,
) -> AlertFacts:
    long, short = windows
    rate = _fixed_rate(slo, profile)
    return AlertFacts(
        name=name,
        severity=severity,
        factor=factor,
        threshold=maths.error_threshold(factor, slo.target),
        long=long,
        short=short,
        hold=(rule[0].hold if rule else None) or Duration(0),
        evaluation=rule[1].interval if rule else profile.evaluation_interval,
        spent=(factor * long / period).normalize(),
        lone_failure_limit=maths.lone_failure_limit(factor, slo.target),
        guard_s=maths.time_to_collect_s(slo.min_bad_events, rate, Decimal(1)) if rate else Decimal(0),
    )


def _ratios(alerts: Iterable[AlertFacts]) -> list[Decimal]:
    """Those above the lowest threshold, and one below it, at which nothing fires."""
    lowest = min((alert.threshold for alert in alerts), default=Decimal(1))
    above = [ratio for ratio in RATIOS if ratio > lowest]
    return [*above, *[ratio for ratio in RATIOS if ratio <= lowest][:1]]


def _wait(alert: AlertFacts, profile: Profile, group_wait: Duration) -> int:
    return profile.scrape_interval + alert.evaluation + alert.hold + group_wait


def _overhead(explanation: Explanation) -> dict[str, int]:
    return {a.name: _wait(a, explanation.profile, explanation.group_wait) for a in explanation.alerts}


def _detection(alert: AlertFacts, ratio: Decimal, target: Decimal, period: Duration, wait: dict[str, int]) -> Detection:
    detect_s = _detected_s(alert, target, ratio)
    if detect_s is None:
        return Detection(alert.name, ratio, None, None, None, None)
    reset_s = maths.time_to_reset_s(alert.factor, target, min(alert.long, alert.short), ratio)
    spent = maths.budget_spent(target, period, ratio, detect_s + alert.hold)
    return Detection(alert.name, ratio, detect_s, detect_s + wait[alert.name], reset_s, spent)


def _detected_s(alert: AlertFacts, target: Decimal, ratio: Decimal) -> Decimal | None:
    # Both windows must be above; the longer one is the later.
    above_s = maths.time_to_detect_s(alert.factor, target, max(alert.long, alert.short), ratio)
    if above_s is None or alert.guard_s > alert.long * ratio:
        return None
    return max(above_s, alert.guard_s / ratio)


def _blind(alerts: Iterable[AlertFacts], target: Decimal, within: Duration, wait: dict[str, int]) -> Blind:
    pages = [alert for alert in alerts if alert.severity == "page"]
    least = [(r, a.name) for a in pages if (r := _noticed_above(a, target, within - a.hold)) is not None]
    felt = [r for a in pages if (r := _noticed_above(a, target, within - wait[a.name])) is not None]
    outages = [
        (detect_s + a.hold, detect_s + wait[a.name], a.name)
        for a in pages
        if (detect_s := _detected_s(a, target, Decimal(1))) is not None
    ]
    above, above_alert = min(least, default=(None, None))
    outage_s, outage_felt_s, outage_alert = min(outages, default=(None, None, None))
    return Blind(
        within=within,
        above=above,
        above_alert=above_alert,
        above_felt=min(felt, default=None),
        never=min((max(a.threshold, a.guard_s / a.long) for a in pages), default=None),
        outage_s=outage_s,
        outage_felt_s=outage_felt_s,
        outage_alert=outage_alert,
    )


def _noticed_above(alert: AlertFacts, target: Decimal, within_s: int) -> Decimal | None:
    if within_s <= 0 or alert.guard_s > min(within_s, alert.long):
        return None
    above = maths.detected_above(alert.factor, target, max(alert.long, alert.short), Decimal(within_s))
    return None if above is None else max(above, alert.guard_s / min(within_s, alert.long))


def _seen(alerts: Iterable[AlertFacts], slo: Slo) -> Iterable[Seen]:
    outage = Decimal(1)
    for name, rate in RATES:
        for alert in alerts:
            window = max(alert.long, alert.short)
            detect_s = maths.time_to_detect_s(alert.factor, slo.target, window, outage)
            collect_s = maths.time_to_collect_s(slo.min_bad_events, rate, outage)
            after_s = None if detect_s is None or collect_s > alert.long else max(detect_s, collect_s)
            yield Seen(alert.name, name, rate, after_s)


def _cost(rules: RuleFile) -> Cost:
    alert_rules = sum(1 for _ in _alert_rules(rules))
    series = len(rules.rules()) - alert_rules
    per_hour = sum(Decimal(3600 * len(group.rules)) / group.interval for group in rules.groups)
    recorded = sum(
        Decimal(86400 * sum(not isinstance(rule, Alert) for rule in group.rules)) / group.interval
        for group in rules.groups
    )
    return Cost(series, alert_rules, int(per_hour), int(recorded))
