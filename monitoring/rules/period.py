"""The period of an SLO as PromQL: where it begins, and which slices belong to it.

A calendar needs a time zone, which PromQL does not know: the starts of months, and the
changes of a zone's clock, are written into the rules as numbers up to HORIZON. Slices
that lie in maintenance or before the period are masked in a subquery, so a correction
made later counts at once, for slices that were recorded long ago too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from monitoring.maths import calendars
from monitoring.maths.durations import Duration
from monitoring.rules import names
from monitoring.rules.model import Recording
from monitoring.rules.profile import Profile
from monitoring.spec.model import Calendar, Slo

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HORIZON = datetime(2041, 1, 1, tzinfo=UTC)
"""Up to here calendars are right; a test fails two years before."""

SLICE = Duration.parse("5m")

Span = tuple[int, int]
"""start <= t < end, in Unix seconds."""


def start_rules(slo: Slo, labels: dict[str, str]) -> tuple[Recording, ...]:
    """Records when the current calendar period began; nothing for a rolling period."""
    if slo.calendar is None:
        return ()
    calendar = slo.calendar
    days = calendars.step_days(calendar.unit, calendar.count)
    if days is None:
        return (Recording(names.PERIOD_START, f"vector({_table(calendar)})", labels),)
    first, changes = calendars.offset_changes(calendar.time_zone, EPOCH, HORIZON)
    anchor = int(calendar.anchor.replace(tzinfo=UTC).timestamp())
    length_s = days * 86400
    offset, guess = (names.of(name, slo.name) for name in (names.UTC_OFFSET, names.PERIOD_START_GUESS))
    local = f"(time() + {offset} - {anchor})"
    return (
        Recording(names.UTC_OFFSET, f"vector({_steps(first, changes, 'time()')})", labels),
        Recording(names.PERIOD_START_GUESS, f"{anchor} + floor({local} / {length_s}) * {length_s} - {offset}", labels),
        # A period may begin before the clocks were changed and end after it.
        Recording(names.PERIOD_START, f"{guess} + {offset} - ({_steps(first, changes, guess)})", labels),
    )


def masked(name: str, slo: Slo, profile: Profile, spans: Sequence[Span], *, calendar: bool) -> str:
    """The sum of a slice series over the period, without what a calendar or maintenance leaves out; without labels.

    A subquery steps on the clock's grid, and Prometheus evaluates a group anywhere between
    two steps. So the end of the slice decides, not the step at which it is seen; `timestamp`
    of a month's slices would take seconds, so it follows from where on the clock they end.
    """
    series, step = names.of(name, slo.name), profile.window(SLICE)
    length = profile.window(longest(slo))
    if not spans and not calendar:
        return f"sum(sum_over_time({series}[{length}]))"
    inside, end = series, _end_of_slice(slo, step)
    if calendar:
        # A slice belongs to the period in which it ends.
        start = f"scalar(max({names.of(names.PERIOD_START, slo.name)} @ end()))"
        inside += f"\n    and on () (vector({end}) > {start})"
    if spans:
        # A slice holds the events of the five minutes before its end.
        touching = " or ".join(f"vector({end}) > {begin} < {after + int(step)}" for begin, after in spans)
        inside += f"\n    unless on () ({touching})"
    return f"sum(sum_over_time((\n    {inside}\n  )[{length}:{step}]))"


def phase_rules(profile: Profile, labels: dict[str, str]) -> tuple[Recording, ...]:
    """Records where on the clock slices end, for `masked`."""
    return (Recording(names.SLICE_PHASE, f"vector(time() % {int(profile.window(SLICE))})", labels),)


def _end_of_slice(slo: Slo, step: Duration) -> str:
    """The end of the slice that is the newest at a step."""
    phase = f"scalar(max({names.of(names.SLICE_PHASE, slo.name)} @ end()))"
    return f"time() - (time() - {phase}) % {int(step)}"


def during(spans: Sequence[Span]) -> str:
    """A sample while the time lies in one of the spans."""
    return " or ".join(f"vector(time()) >= {start} < {end}" for start, end in spans)


def longest(slo: Slo) -> Duration:
    """The longest that a period can be: a month of 31 days, a year of 366."""
    if slo.calendar is None:
        return slo.period
    days = calendars.step_days(slo.calendar.unit, slo.calendar.count)
    if days is None:
        days = {"month": 31, "quarter": 92, "year": 366}[slo.calendar.unit] * slo.calendar.count
    return Duration(days * 86400 + 3600)


def _table(calendar: Calendar) -> str:
    starts = calendars.boundaries(calendar.anchor, calendar.time_zone, calendar.unit, calendar.count, EPOCH, HORIZON)
    stamps = [int(start.timestamp()) for start in starts]
    changes = [(after, after - before) for before, after in pairwise(stamps)]
    return _steps(stamps[0], changes, "time()")


def _steps(first: int, changes: Sequence[tuple[int, int]], moment: str) -> str:
    """A staircase: `first`, and from each time of `changes` on so much more or less."""
    return " ".join(
        [str(first), *(f"{'+' if by >= 0 else '-'} {abs(by)} * ({moment} >= bool {at})" for at, by in changes)]
    )
