"""An explanation as a page for people, and as data for programs; pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from monitoring.document import Block, Bullets, Code, Heading, Paragraph, Table
from monitoring.explain.tables import OUTAGES, Blind, Explanation
from monitoring.explain.wording import number, share, spoken
from monitoring.maths.burn import time_to_exhaustion_s
from monitoring.maths.decimals import percent, plain
from monitoring.maths.durations import Duration


def page(one: Explanation) -> Iterator[Block]:
    """Everything about one SLO, the promise first and the cost last."""
    slo = one.slo
    yield Heading(f"{slo.name}: {percent(slo.target)} over {_period(one)}", 1)
    if slo.description:
        yield Paragraph(slo.description)
    yield from _counts(one)
    yield from _budget(one)
    yield from _alerts(one)
    yield from _detections(one)
    yield from _blind(one)
    yield from _traffic(one)
    yield from _cost(one)


def _period(one: Explanation) -> str:
    calendar = one.slo.calendar
    if calendar is None:
        return f"any {one.slo.period}"
    unit = calendar.unit if calendar.count == 1 else f"{calendar.count} {calendar.unit}s"
    return f"each {unit} of the calendar ({calendar.time_zone}), taken as {one.slo.period}"


def _counts(one: Explanation) -> Iterator[Block]:
    slo, divisor = one.slo, one.profile.divisor
    yield Heading("What counts")
    yield Code("\n".join(f"{role}: {query}" for role, query in one.queries))
    yield Paragraph(f"The unit is {one.unit}. {_meaning(one)}")
    traffic = {
        "ignore": "Without traffic nothing is spent and nothing fires.",
        "good": "Without traffic all is taken as good.",
        "bad": "Without traffic all is taken as bad.",
    }
    yield Paragraph(traffic[slo.no_traffic])
    if divisor > 1:
        yield Paragraph(f"This environment divides every window by {divisor}; all times below are on that scale.")


def _meaning(one: Explanation) -> str:
    slices = one.slo.slices
    if slices and slices.target is not None:
        return f"A slice is bad when less than {percent(slices.target)} of it was good; each slice counts alike."
    if slices:
        return "A slice is as bad as its error ratio; each slice counts alike."
    return {
        "samples": "Each evaluation is one sample, as bad as the query says.",
        "the measured share": "How many events stand behind the share is unknown, so each moment counts alike.",
        "weighted events": "An event of a part counts as often as its weight says.",
    }.get(one.unit, "A busy hour weighs more than a quiet one.")


def _budget(one: Explanation) -> Iterator[Block]:
    yield Heading("Error budget")
    items = [f"{percent(one.budget)} may be bad."]
    if one.unit in ("events", "weighted events", "samples"):
        items.append(
            f"Of 1,000 {one.unit} that is {number(one.budget * 1000)}, "
            f"of 1,000,000 it is {number(one.budget * 1000000)}."
        )
    if one.slo.slices:
        total = Decimal(one.slo.period) / one.slo.slices.window
        items.append(
            f"Of the {number(total)} slices of {one.slo.period}, {number(one.budget * total)} may be wholly bad."
        )
    items.append(
        f"At steady traffic it lasts for {spoken(one.outage_budget_s)} of total outage in {one.slo.period} "
        f"({number(one.outage_budget_s / 60)} minutes)."
    )
    yield Bullets(tuple(items))


def _alerts(one: Explanation) -> Iterator[Block]:
    yield Heading("Alerts")
    if not one.alerts:
        yield Paragraph("None: nobody is told while the budget burns.")
        return
    yield Table(
        ("alert", "severity", "burn rate", "fires above", "windows", "for", "evaluated", "budget spent", "all gone in"),
        tuple(
            (
                alert.name,
                alert.severity,
                plain(round(alert.factor, 4)),
                share(alert.threshold),
                f"{alert.long}" if alert.long == alert.short else f"{alert.long}, {alert.short}",
                str(alert.hold) if alert.hold else "–",
                f"every {alert.evaluation}",
                share(alert.spent),
                spoken(time_to_exhaustion_s(alert.factor, one.period)),
            )
            for alert in one.alerts
        ),
    )
    yield Paragraph(
        "An alert fires when the share of bad lies strictly above its threshold over both windows. "
        '"Budget spent" is what is gone by then, however large the failure; "all gone in" is how long a whole '
        "budget lasts at exactly the threshold."
    )


def _detections(one: Explanation) -> Iterator[Block]:
    if not one.alerts:
        return
    yield Heading("Detection")
    yield Table(
        ("bad", "alert", "detected after", "felt after at most", "budget spent", "resets after"),
        tuple(
            (
                share(row.ratio),
                row.alert,
                spoken(row.detect_s),
                "–" if row.felt_s is None else spoken(row.felt_s),
                share(row.spent),
                "–" if row.reset_s is None else spoken(row.reset_s),
            )
            for row in one.detections
        ),
    )
    yield Paragraph(
        f"Felt = detected + scrape ({one.profile.scrape_interval}) + evaluation + for + group_wait "
        f"({one.group_wait}). Reset counts from the end of a failure that lasted a whole short window; "
        "telling people adds up to one group_interval."
    )


def _blind(one: Explanation) -> Iterator[Block]:
    yield Heading(f"What does not page within {one.blind.within}")
    yield Paragraph(" ".join(blind_sentences(one.blind)))
    if one.burn_blind:
        yield Paragraph("By burn rate alone, without the direct alert: " + " ".join(blind_sentences(one.burn_blind)))


def blind_sentences(blind: Blind) -> Iterator[str]:
    """Which failures page nobody in time, as sentences."""
    if blind.never is None:
        yield "Nothing pages at all: this SLO has no alert of severity page."
        return
    if blind.above is None:
        yield (
            f"No failure pages within {blind.within}: even a total outage pages only after "
            f"{spoken(blind.outage_s)} ({blind.outage_alert}), felt after at most {spoken(blind.outage_felt_s)}."
        )
    else:
        yield (
            f"Shares {_below(blind.above, blind.never)} do not page within {blind.within}; larger ones do "
            f"({blind.above_alert}). A total outage pages after {spoken(blind.outage_s)} ({blind.outage_alert}), "
            f"felt after at most {spoken(blind.outage_felt_s)}."
        )
        yield (
            f"With scrape, evaluation and group_wait on top, a person hears within {blind.within} only of shares "
            f"above {share(blind.above_felt)}."
            if blind.above_felt is not None
            else f"With scrape, evaluation and group_wait on top, nobody hears of anything within {blind.within}."
        )
    yield f"Shares of {share(blind.never)} or less never page, however long they last."


def _below(above: Decimal, never: Decimal) -> str:
    return f"of {share(above)} or less" if above == never else f"below {share(above)}"


def _traffic(one: Explanation) -> Iterator[Block]:
    if not one.alerts:
        return
    least = one.slo.min_bad_events
    yield Heading("Traffic needed")
    if not one.counted:
        yield Paragraph("Events cannot be counted behind this SLI, so no guard keeps a single failure from alerting.")
        return
    if one.events_per_s is not None:
        each = Decimal(1) / one.events_per_s
        yield Paragraph(
            f"Time is counted, not traffic: one of the {one.unit} every {spoken(each)}. The guard asks for {least} bad "
            f"ones, so nothing fires before {spoken(each * least)}."
        )
        return
    yield Paragraph(
        f"The guard asks for at least {least} bad {one.unit} in the long window. Without it a single failure would "
        "fire an alert whose long window holds no more than so many: "
        + ", ".join(f"{alert.name} {alert.lone_failure_limit:,} in {alert.long}" for alert in one.alerts)
        + "."
    )
    yield Bullets(
        tuple(
            f"A total outage of {outage} shows from {least} {one.unit} in that time on: "
            f"{number(Decimal(least) * 3600 / outage)} an hour."
            for outage in OUTAGES
        )
    )
    flapping = [(alert.name, Decimal(3600) / min(alert.long, alert.short)) for alert in one.alerts]
    yield Paragraph(
        "With less than one event in its short window an alert comes and goes: "
        + ", ".join(f"{name} below {number(rate)} an hour" for name, rate in flapping)
        + "."
    )
    names = [alert.name for alert in one.alerts]
    cells = {(row.rate, row.alert): spoken(row.after_s) for row in one.seen}
    rates = list(dict.fromkeys(row.rate for row in one.seen))
    yield Table(
        ("total outage at", *names),
        tuple((rate, *(cells[rate, name] for name in names)) for rate in rates),
    )


def _cost(one: Explanation) -> Iterator[Block]:
    cost = one.cost
    yield Heading("What it costs Prometheus")
    yield Paragraph(
        f"{cost.series} recorded series and {cost.alert_rules} alert rules; {cost.evaluations_per_hour:,} rule "
        f"evaluations an hour, {cost.samples_per_day:,} samples a day."
    )


def as_data(one: Explanation) -> dict[str, Any]:
    """The same for programs: shares from 0 to 1, times in seconds, null for never."""
    slo = one.slo
    return {
        "slo": slo.name,
        "service": slo.service.name,
        "target": float(slo.target),
        "period_s": int(slo.period),
        "window_divisor": one.profile.divisor,
        "unit": one.unit,
        "no_traffic": slo.no_traffic,
        "queries": [{"role": role, "query": query} for role, query in one.queries],
        "budget": {"share": float(one.budget), "outage_s": float(one.outage_budget_s)},
        "min_bad_events": slo.min_bad_events,
        "alerts": [
            {
                "alert": alert.name,
                "severity": alert.severity,
                "burn_rate": float(alert.factor),
                "threshold": float(alert.threshold),
                "long_window_s": int(alert.long),
                "short_window_s": int(alert.short),
                "for_s": int(alert.hold),
                "evaluation_interval_s": int(alert.evaluation),
                "budget_spent": float(alert.spent),
                "lone_failure_limit": alert.lone_failure_limit,
            }
            for alert in one.alerts
        ],
        "detection": [
            {
                "alert": row.alert,
                "error_ratio": float(row.ratio),
                "detect_s": _float(row.detect_s),
                "felt_s": _float(row.felt_s),
                "reset_s": _float(row.reset_s),
                "budget_spent": _float(row.spent),
            }
            for row in one.detections
        ],
        "not_paged": _blind_data(one.blind),
        "not_paged_by_burn_rate_alone": _blind_data(one.burn_blind) if one.burn_blind else None,
        "total_outage_seen": [
            {"alert": row.alert, "events_per_s": float(row.events_per_s), "after_s": _float(row.after_s)}
            for row in one.seen
        ],
        "cost": {
            "series": one.cost.series,
            "alert_rules": one.cost.alert_rules,
            "evaluations_per_hour": one.cost.evaluations_per_hour,
            "samples_per_day": one.cost.samples_per_day,
        },
    }


def _blind_data(blind: Blind) -> dict[str, Any]:
    return {
        "within_s": int(blind.within),
        "below": _float(blind.above),
        "below_felt": _float(blind.above_felt),
        "never_up_to": _float(blind.never),
        "total_outage_s": _float(blind.outage_s),
        "total_outage_felt_s": _float(blind.outage_felt_s),
        "alert": blind.outage_alert,
    }


def _float(value: Decimal | Duration | None) -> float | None:
    return None if value is None else float(value)
