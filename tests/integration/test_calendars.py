"""Calendar periods: the rules' numbers beside Python's own calendar, asked of a real Prometheus."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.maths import calendars
from monitoring.maths.durations import Duration
from monitoring.rules import names
from monitoring.rules.period import EPOCH, HORIZON, start_rules
from monitoring.spec.model import Calendar, CalendarUnit
from tests.integration.test_rule_kinds import SLO, groups
from tests.support.prometheus import RunningPrometheus, running_prometheus
from tests.support.proofs import SCRAPE_S, Expected, counter, prove


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def recorded_start(prometheus: RunningPrometheus, calendar: Calendar, at_s: int) -> float:
    """What the rules record at a time, one after the other, each reading the values of those before it."""
    known: dict[str, float] = {}
    for rule in start_rules(replace(SLO, calendar=calendar), {}):
        expr = rule.expr
        for name, value in known.items():
            expr = expr.replace(names.of(name, SLO.name), f"vector({value:.0f})")
        known[rule.record] = prometheus.query(expr, at_s)[0][1]
    return known[names.PERIOD_START]


@pytest.mark.parametrize(
    ("anchor", "zone", "count", "unit"),
    [
        (datetime(2022, 1, 1, 12), "America/New_York", 1, "month"),
        (datetime(2020, 1, 21), "UTC", 1, "month"),
        (datetime(2026, 4, 1), "Europe/Berlin", 1, "quarter"),
        (datetime(2024, 2, 28, 23, 30), "Asia/Kolkata", 1, "year"),
        (datetime(2022, 1, 3), "Europe/Berlin", 1, "week"),
        (datetime(2020, 1, 21, 12, 30), "America/New_York", 1, "day"),
        (datetime(2026, 1, 1, 6), "Australia/Lord_Howe", 2, "week"),
        (datetime(2025, 12, 31), "UTC", 3, "day"),
    ],
)
def test_a_period_begins_where_python_says_in_summer_and_winter(
    prometheus: RunningPrometheus, anchor: datetime, zone: str, count: int, unit: CalendarUnit
) -> None:
    calendar = Calendar(anchor, zone, count, unit)
    moments = random.Random(4)
    span_s = int((HORIZON - EPOCH).total_seconds())
    for _ in range(20):
        now = EPOCH + timedelta(seconds=moments.randrange(span_s))
        wanted = calendars.period_start(anchor, zone, unit, count, now)
        assert recorded_start(prometheus, calendar, int(now.timestamp())) == wanted.timestamp(), now


def test_the_calendars_in_the_rules_last_for_years() -> None:
    """When this fails, move HORIZON on and generate again."""
    assert HORIZON - datetime.now(UTC) > timedelta(days=2 * 365)


def test_the_first_second_of_a_period_belongs_to_it(prometheus: RunningPrometheus) -> None:
    calendar = Calendar(datetime(2026, 1, 1), "Europe/Berlin", 1, "month")
    april = int(datetime(2026, 3, 31, 22, tzinfo=UTC).timestamp())  # summer time has begun
    march = int(datetime(2026, 2, 28, 23, tzinfo=UTC).timestamp())
    assert recorded_start(prometheus, calendar, april) == april
    assert recorded_start(prometheus, calendar, april - 1) == march


def test_a_new_period_begins_with_a_whole_budget_and_forgets_the_last_one(tmp_path: Path) -> None:
    """Days that begin at 00:25, which is second 1500 of promtool's first day: what failed before it is gone."""
    slo = replace(SLO, period=Duration(86400), calendar=Calendar(datetime(2026, 1, 1, 0, 25), "UTC", 1, "day"))
    series = {"all_total": counter((600, 10)), "good_total": counter((300, 5), (300, 10))}
    ratio = "round(sum(slo:errors:ratio_period), 0.001)"
    prove(
        tmp_path,
        [group for group in groups(slo) if group.name.endswith("/period")],
        series,
        [Expected(300 * SCRAPE_S - 5, ratio, 0.5), Expected(1510, ratio, 0), Expected(1600, ratio, 0)],
    )
