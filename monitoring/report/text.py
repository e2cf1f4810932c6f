"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitoring.prometheus.budget import Budget
from monitoring.prometheus.shown import number, percent, shown_length, shown_time
from monitoring.report.figures import Figures
from monitoring.report.words import attainment_words, coverage_words, recorded_words, restart_words, urgency, verdict


def text(every: Sequence[Figures]) -> str:
    """All SLOs, one after the other."""
    return "\n".join(line for told in every for line in (*_lines(told), ""))


def _lines(told: Figures) -> Iterator[str]:
    yield f"{told.slo.name} ({told.slo.service.name}): {verdict(told)}"
    yield f"  period           {told.period.name}: {shown_time(told.period.start)} to {shown_time(told.period.end)}"
    yield f"  attainment       {attainment_words(told)}"
    yield f"  budget           {_spent(told.adjusted)}; {recorded_words(told)}"
    yield (
        f"  bad {told.unit:<12} {number(told.adjusted.tally.errors)} of {number(told.adjusted.tally.events)}; "
        f"{number(told.allowed_bad)} allowed"
    )
    yield f"  coverage         {coverage_words(told)}"
    if words := restart_words(told):
        yield f"  restarts         {words}"
    yield f"  incidents        {len(told.incidents) or 'none'}"
    for one in told.incidents:
        end = "still firing" if one.end is None else shown_time(one.end)
        peak = "" if one.peak_ratio is None else f", at most {percent(one.peak_ratio)} bad"
        length = shown_length(one.length_s(told.period.end))
        yield f"    {shown_time(one.start)} to {end} ({length}): {one.alert}, {urgency(one)}{peak}"
    for deploy in told.deployments:
        at = shown_time(deploy.at.timestamp())
        yield f"    {at}: {deploy.version} deployed in {deploy.environment} by {deploy.author}"
    for span in told.maintenance:
        times = f"{shown_time(span.start.timestamp())} to {shown_time(span.end.timestamp())}"
        note = " (corrected later)" if span.correction else ""
        yield f"    {times}: maintenance {span.id} by {span.author}{note}: {span.reason}"


def _spent(budget: Budget) -> str:
    if budget.attainment is None:
        return "nothing spent"
    return f"{percent(budget.spent, 2)} spent, {percent(budget.remaining, 2)} left"
