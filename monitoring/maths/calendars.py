"""Calendar-aligned periods: when they begin, in local time, whatever the clocks do in between.

A period is so many days, weeks, months, quarters or years long and begins at the local
time of its anchor. Times are aware datetimes outside and Unix seconds inside.
Source: OpenSLO v1, "SLO", timeWindow.calendar.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from zoneinfo import ZoneInfo

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def step_days(unit: str, number: int) -> int | None:
    """How many days a period has, where it is the same number every time; else None.

    >>> step_days("week", 2), step_days("month", 1)
    (14, None)
    """
    return _DAYS[unit] * number if unit in _DAYS else None


def boundary(anchor: datetime, zone: str, unit: str, number: int, n: int) -> datetime:
    """The start of the n-th period after the anchor's own, n may be negative; UTC.

    `anchor` is naive local time; its day must exist in every month (1 to 28) when periods are months.

    >>> boundary(datetime(2022, 1, 1, 12), "America/New_York", "month", 1, 6).isoformat()
    '2022-07-01T16:00:00+00:00'
    """
    days = step_days(unit, number)
    if days is not None:
        local = anchor + timedelta(days=days * n)
    else:
        months = anchor.year * 12 + anchor.month - 1 + _MONTHS[unit] * number * n
        local = anchor.replace(year=months // 12, month=months % 12 + 1)
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def period_start(anchor: datetime, zone: str, unit: str, number: int, now: datetime) -> datetime:
    """The start of the period that `now` (aware) lies in; UTC.

    >>> period_start(datetime(2022, 1, 1), "UTC", "quarter", 1, datetime(2026, 11, 26, tzinfo=UTC)).isoformat()
    '2026-10-01T00:00:00+00:00'
    """
    return boundary(anchor, zone, unit, number, _index(anchor, zone, unit, number, now))


def boundaries(anchor: datetime, zone: str, unit: str, number: int, since: datetime, until: datetime) -> list[datetime]:
    """Every period's start from the one that holds `since` up to `until`, both aware; UTC."""
    first = _index(anchor, zone, unit, number, since)
    starts = (boundary(anchor, zone, unit, number, n) for n in count(first))
    return list(takewhile(lambda start: start < until, starts))


def _index(anchor: datetime, zone: str, unit: str, number: int, now: datetime) -> int:
    length_days = step_days(unit, number) or 30 * _MONTHS[unit] * number
    n = (now - boundary(anchor, zone, unit, number, 0)).days // length_days
    while boundary(anchor, zone, unit, number, n) > now:
        n -= 1
    while boundary(anchor, zone, unit, number, n + 1) <= now:
        n += 1
    return n


def offset_changes(zone: str, since: datetime, until: datetime) -> tuple[int, list[tuple[int, int]]]:
    """The zone's offset from UTC in seconds at `since`, and its changes until `until` as (Unix time, difference).

    >>> offset_changes("Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    (3600, [(1774746000, 3600), (1792890000, -3600)])
    """
    place = ZoneInfo(zone)
    return _offset_s(place, since), list(_changes(place, since, until))


def _changes(place: ZoneInfo, since: datetime, until: datetime) -> Iterator[tuple[int, int]]:
    day, before = since, _offset_s(place, since)
    while day < until:
        following = day + timedelta(days=1)
        after = _offset_s(place, following)
        if after != before:
            yield _moment_of_change(place, day, following, before), after - before
        day, before = following, after


def _moment_of_change(place: ZoneInfo, low: datetime, high: datetime, before: int) -> int:
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if _offset_s(place, middle) == before else (low, middle)
    return int(high.timestamp())


def _offset_s(place: ZoneInfo, moment: datetime) -> int:
    return int((moment.astimezone(place).utcoffset() or timedelta()).total_seconds())
