"""Which span of time a report is about; pure.

A rolling period ends now; a calendar one begins at its first local midnight and ends
where the next begins, or now when that is still to come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitoring.errors import OutOfRangeError
from monitoring.maths import calendars
from monitoring.maths.durations import Duration
from monitoring.prometheus.shown import iso
from monitoring.prometheus.times import moment
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo
from monitoring.spec.windows import MAX_PERIOD

EXPECTED = (
    "30d, today, this-week, this-month, this-quarter, this-year, yesterday, last-week, last-month, last-quarter, "
    "last-year, 2026, 2026-Q3, 2026-10, 2026-10-01, 2026-W40 or FROM/TO"
)
_YEAR = re.compile(r"([0-9]{4})")
_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")
_RELATIVE = {"today": ("this", "day"), "yesterday": ("last", "day")}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Span:
    """start < t <= end, in Unix seconds, and what people call it."""

    name: str
    start: float
    end: float

    @property
    def length_s(self) -> float:
        """In seconds."""
        return self.end - self.start


def zone(name: str) -> tzinfo:
    """A time zone by its name, such as Europe/Vienna. Raises OutOfRangeError."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise OutOfRangeError(f"{name!r} is no time zone; expected for example UTC or Europe/Vienna") from None


def parse(text: str, now: float, where: tzinfo) -> Span:
    """Read --period. Raises OutOfRangeError for what is none, and for one that lies in the future.

    >>> parse("2026-Q1", 1.8e9, UTC)
    Span(name='2026-Q1', start=1767225600.0, end=1775001600.0)
    """
    start, end = _bounds(text, now, where)
    if start >= now:
        raise OutOfRangeError(f"the period {text} has not begun yet")
    if start >= end:
        raise OutOfRangeError(f"the period {text} ends before it begins")
    if end - start > MAX_PERIOD:
        raise OutOfRangeError(f"the period {text} is longer than {MAX_PERIOD}, which no SLO's is")
    return Span(text, start, min(end, now))


def own(slo: Slo, profile: Profile, now: float) -> Span:
    """The period that the SLO's budget is about at this moment."""
    if slo.calendar is None:
        return Span(f"{slo.period}, rolling", now - profile.window(slo.period), now)
    its = slo.calendar
    start = calendars.period_start(
        its.anchor.replace(tzinfo=None), its.time_zone, its.unit, its.count, datetime.fromtimestamp(now, UTC)
    ).timestamp()
    return Span(f"{its.count} {its.unit} from {iso(start)}", start, now)


def _bounds(text: str, now: float, where: tzinfo) -> tuple[float, float]:
    if "/" in text:
        first, _, last = text.partition("/")
        return moment(first, now, where), moment(last, now, where)
    try:
        start = _named(text, now, where)
    except ValueError as error:
        raise OutOfRangeError(f"{text!r} is no period: {error}") from None
    if start:
        first_day, next_day = start
        return first_day.replace(tzinfo=where).timestamp(), next_day.replace(tzinfo=where).timestamp()
    try:
        return now - Duration.parse(text), now
    except OutOfRangeError:
        raise OutOfRangeError(f"{text!r} is no period; expected {EXPECTED}") from None


def _named(text: str, now: float, where: tzinfo) -> tuple[datetime, datetime] | None:
    """Local first moment of a calendar period, and of the one after it; None for a length of time."""
    if found := _YEAR.fullmatch(text):
        return _unit(datetime(int(found[1]), 1, 1), "year")
    if found := _QUARTER.fullmatch(text):
        return _unit(datetime(int(found[1]), 3 * int(found[2]) - 2, 1), "quarter")
    if found := _MONTH.fullmatch(text):
        return _unit(datetime(int(found[1]), int(found[2]), 1), "month")
    if found := _DAY.fullmatch(text):
        return _unit(datetime(*map(int, found.groups())), "day")  # type: ignore[arg-type]
    if found := _WEEK.fullmatch(text):
        return _unit(datetime.fromisocalendar(int(found[1]), int(found[2]), 1), "week")
    which, _, unit = text.partition("-")
    which, unit = _RELATIVE.get(text, (which, unit))
    if which not in ("this", "last") or unit not in ("day", "week", *_MONTHS):
        return None
    this = _unit_of(datetime.fromtimestamp(now, where).replace(tzinfo=None), unit)
    if which == "this":
        return _unit(this, unit)
    return _unit_of(this - timedelta(days=1), unit), this


def _unit_of(local: datetime, unit: str) -> datetime:
    """The first moment of the unit that holds a local time."""
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1, month=day.month - (day.month - 1) % _MONTHS[unit])


def _unit(first: datetime, unit: str) -> tuple[datetime, datetime]:
    if unit in _MONTHS:
        return first, _months_later(first, _MONTHS[unit])
    return first, first + timedelta(days=7 if unit == "week" else 1)


def _months_later(moment_: datetime, months: int) -> datetime:
    """The same day of a later month, or its last one when it has fewer days.

    >>> _months_later(datetime(2026, 1, 31), 1)
    datetime.datetime(2026, 2, 28, 0, 0)
    """
    month = moment_.month - 1 + months
    year, month = moment_.year + month // 12, month % 12 + 1
    for day in range(moment_.day, 27, -1):
        try:
            return moment_.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return moment_.replace(year=year, month=month)
