"""--period and times of a command line: what each word means, in which time zone, and what is refused."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration
from monitoring.prometheus.times import moment
from monitoring.report.period import own, parse, zone
from monitoring.rules.profile import Profile
from monitoring.spec.model import Calendar, CalendarUnit
from tests.support import slospecs

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC).timestamp()
PROFILE = Profile(Duration(15), Duration(15), 1, "https://r.test/", "https://d.test/")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("7d", "2026-11-11T15:30", "2026-11-18T15:30"),
        ("2025", "2025-01-01", "2026-01-01"),
        ("2026-10", "2026-10-01", "2026-11-01"),
        ("2025-12", "2025-12-01", "2026-01-01"),
        ("2026-Q3", "2026-07-01", "2026-10-01"),
        ("2026-Q4", "2026-10-01", "2026-11-18T15:30"),
        ("2026-10-31", "2026-10-31", "2026-11-01"),
        ("2026-W01", "2025-12-29", "2026-01-05"),
        ("today", "2026-11-18", "2026-11-18T15:30"),
        ("yesterday", "2026-11-17", "2026-11-18"),
        ("this-month", "2026-11-01", "2026-11-18T15:30"),
        ("last-month", "2026-10-01", "2026-11-01"),
        ("last-week", "2026-11-09", "2026-11-16"),
        ("last-quarter", "2026-07-01", "2026-10-01"),
        ("last-year", "2025-01-01", "2026-01-01"),
        ("2026-10-01/2026-10-15T12:00", "2026-10-01", "2026-10-15T12:00"),
        ("-2d/-1d", "2026-11-16T15:30", "2026-11-17T15:30"),
    ],
)
def test_periods(text: str, start: str, end: str) -> None:
    found = parse(text, NOW, UTC)
    assert (found.start, found.end) == (at(start), at(end))


def test_a_month_begins_at_local_midnight_and_has_the_hour_that_summer_time_adds() -> None:
    found = parse("2026-10", NOW, zone("Europe/Vienna"))
    assert found.start == at("2026-09-30T22:00")
    assert found.end == at("2026-10-31T23:00")
    assert found.length_s == 31 * 86400 + 3600


@pytest.mark.parametrize(
    "text",
    ["2026-13", "2026-02-30", "2027", "2026-W60", "next-month", "30", "", "-", "x/y", "-1d/-2d", "last-30d", "1831d"],
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(OutOfRangeError):
        parse(text, NOW, UTC)


def test_a_time_zone_that_is_none_is_refused() -> None:
    for name in ("Europe/Wien", "../etc/passwd", ""):
        with pytest.raises(OutOfRangeError):
            zone(name)


@pytest.mark.parametrize(
    ("count", "unit", "anchor", "start"),
    [
        (1, "month", "2024-01-01", "2026-11-01"),
        (3, "month", "2024-02-01", "2026-11-01"),
        (1, "quarter", "2024-01-01", "2026-10-01"),
        (1, "year", "2020-02-28", "2026-02-28"),
        (2, "week", "2026-11-02", "2026-11-16"),
        (1, "day", "2020-01-01T06:00", "2026-11-18T06:00"),
        (1, "day", "2020-01-01T18:00", "2026-11-17T18:00"),
    ],
)
def test_the_calendar_period_of_an_slo(tmp_path: Path, count: int, unit: CalendarUnit, anchor: str, start: str) -> None:
    calendar = Calendar(datetime.fromisoformat(anchor), "America/New_York", count, unit)
    wanted = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()
    slo = dataclasses.replace(slospecs.slo(tmp_path), calendar=calendar)
    assert own(slo, PROFILE, NOW).start == wanted


def test_the_rolling_period_of_an_slo_is_on_the_profiles_scale(tmp_path: Path) -> None:
    scaled = dataclasses.replace(PROFILE, divisor=2)
    assert own(slospecs.slo(tmp_path), scaled, NOW).length_s == 15 * 86400


@pytest.mark.parametrize("text", ["tomorrow", "1", "-", "-0s", "-1x", "2026-10-01T25:00", "12:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(OutOfRangeError):
        moment(text, NOW)
