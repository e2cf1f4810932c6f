"""Slices: counted once each, missing ones told, and only free places filled; the alert's spans from its samples."""

from __future__ import annotations

import doctest
import importlib
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.backfill.plan import missing, openmetrics, runs
from monitoring.maths.durations import Duration
from monitoring.prometheus.client import Point
from monitoring.prometheus.firing import recorded, would_fire
from monitoring.prometheus.slices import Rhythm, Slice, coverage, distinct, slices, tally
from monitoring.report.figures import Recorded, Restarts, burn_down, figures, gaps, ratios
from monitoring.report.period import Span
from monitoring.spec.maintenance import Maintenance
from tests.support import slospecs

FIVE = Duration(300)
RHYTHM = Rhythm(FIVE, FIVE)
DAY = 86400


def day(bad: float = 0, *, but: range = range(0)) -> list[Slice]:
    """A day of slices of 100 events, `bad` of them bad; those whose number is in `but` are missing."""
    return [Slice(300.0 * n, bad, 100) for n in range(1, 289) if n not in but]


@pytest.mark.parametrize(
    "module",
    [
        "backfill.plan", "gate.verdict", "prometheus.client", "prometheus.firing", "prometheus.retention",
        "prometheus.shown", "prometheus.slices", "prometheus.times", "report.period", "report.plots", "rules.inline",
    ],
)  # fmt: skip
def test_examples_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"monitoring.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


class TestCounting:
    def test_a_moment_with_only_one_of_both_series_is_no_slice(self) -> None:
        nan = float("nan")
        errors = [Point(300, 1), Point(600, nan), Point(900, 0)]
        events = [Point(300, 10), Point(600, 10), Point(1200, 10)]
        assert slices(errors, events) == [Slice(300, 1, 10)]

    def test_busy_slices_weigh_more_than_quiet_ones(self) -> None:
        assert tally([Slice(300, 50, 100), Slice(600, 0, 9900)]).ratio == 0.005

    def test_a_moved_group_counts_nothing_twice(self) -> None:
        """Until 900 the group was evaluated on the full five minutes, then two minutes later."""
        before = [Slice(t, 0, 100) for t in (300, 600, 900)]
        after = [Slice(t, 0, 100) for t in (1020, 1320, 1620)]
        assert [s.end for s in distinct([*after, *before], FIVE)] == [300, 600, 900, 1320, 1620]

    @given(st.lists(st.integers(0, 10_000), max_size=60))
    def test_distinct_slices_never_overlap(self, ends: list[int]) -> None:
        found = distinct([Slice(end, 0, 1) for end in ends], FIVE)
        assert all(b.end - a.end >= 299.5 for a, b in itertools.pairwise(found))

    def test_coverage_is_whole_on_any_phase_of_the_clock(self) -> None:
        for phase in (0, 17, 299):
            found = [Slice(t + phase, 0, 1) for t in range(300, DAY + 1, 300)]
            assert coverage(found, phase, DAY + phase, FIVE).share == 1.0

    def test_neighbouring_periods_share_no_slice_and_lose_none(self) -> None:
        every = day()
        parts = [[s for s in every if start < s.end <= start + DAY / 4] for start in range(0, DAY, DAY // 4)]
        assert [s for part in parts for s in part] == every
        assert [len(part) for part in parts] == [72] * 4
        assert [coverage(part, i * DAY / 4, (i + 1) * DAY / 4, FIVE).share for i, part in enumerate(parts)] == [1] * 4


class TestFilling:
    @given(st.sets(st.integers(1, 288)), st.integers(0, 299))
    def test_what_is_filled_overlaps_nothing_and_leaves_no_place(self, there: set[int], phase: int) -> None:
        found = [Slice(300.0 * n + phase, 0, 1) for n in sorted(there)]
        plan = missing(found, 0, DAY, RHYTHM)
        together = sorted([*(s.end for s in found if 0 < s.end <= DAY), *plan.ends])
        assert all(b - a >= 300 for a, b in itertools.pairwise(together))
        if found:
            assert len(together) == plan.expected

    def test_a_place_that_another_slice_half_takes_is_left(self) -> None:
        """On the newest grid 120 and 420 are free, but would count what the slice at 300 has counted."""
        found = [Slice(t, 0, 1) for t in (300, 1020, 1320)]
        assert missing(found, 0, 1320, RHYTHM).ends == (720.0,)

    def test_runs_break_where_a_slice_exists(self) -> None:
        assert runs([300, 600, 1200], 300) == [(300, 600), (1200, 1200)]

    def test_labels_are_escaped(self) -> None:
        text = openmetrics({(("service", 'a"b\\c'),): [Slice(600, 0.5, 2), Slice(300, 0, 1)]})
        assert '{service="a\\"b\\\\c"} 0 300.000\n' in text
        assert text.index(" 300.000") < text.index(" 600.000")
        assert text.endswith("# EOF\n")


class TestFiring:
    def test_a_missed_evaluation_does_not_split_an_incident(self) -> None:
        found = recorded([Point(t, 1) for t in (0, 15, 45, 60, 150)], 15, 1000)
        assert [(f.start, f.end) for f in found] == [(0, 75), (150, 165)]

    def test_for_waits_as_prometheus_does(self) -> None:
        points = [Point(t, 0.1) for t in (10, 20, 30, 40)]
        assert [(f.start, f.end) for f in would_fire(points, 10, 30, 100)] == [(40, 50)]
        assert would_fire(points, 10, 31, 100) == []
        assert would_fire([Point(10, 1), Point(30, 1)], 10, 10, 100) == []

    def test_what_still_fires_has_no_end(self) -> None:
        assert would_fire([Point(90, 1), Point(100, 1)], 10, 0, 105)[0].end is None


class TestFigures:
    SPAN = Span("a day", 0, DAY)

    def recorded(self, found: list[Slice]) -> Recorded:
        return Recorded(found, [], [], Restarts(0, 0), None)

    def test_maintenance_is_left_out_and_told_beside(self, tmp_path: Path) -> None:
        slo = slospecs.slo(tmp_path)
        start = datetime(1970, 1, 1, 6, tzinfo=UTC)
        span = Maintenance("m1", start, start + timedelta(minutes=10), "kim", "disk", services=frozenset({"shop"}))
        other = Maintenance("m2", start, start + timedelta(hours=9), "kim", "disk", services=frozenset({"bank"}))
        bad = range(73, 75)
        found = [Slice(s.end, 100 if round(s.end / 300) in bad else 0, 100) for s in day()]
        told = figures(slo, self.SPAN, RHYTHM, self.recorded(found), [span, other])
        assert (told.adjusted.attainment, told.in_maintenance) == (1.0, 2)
        assert told.unadjusted.attainment == 1 - 200 / 28_800
        assert told.maintenance == (span,)

    def test_a_slice_that_only_touches_maintenance_counts(self, tmp_path: Path) -> None:
        start = datetime(1970, 1, 1, 6, tzinfo=UTC)
        span = Maintenance("m1", start, start + timedelta(minutes=5), "kim", "disk")
        told = figures(slospecs.slo(tmp_path), self.SPAN, RHYTHM, self.recorded(day()), [span])
        assert told.in_maintenance == 1

    def test_the_burn_down_ends_at_what_is_left_and_never_rises(self, tmp_path: Path) -> None:
        told = figures(slospecs.slo(tmp_path), self.SPAN, RHYTHM, self.recorded(day(0.05)), [])
        line = [value for _, value in burn_down(told)]
        assert line[0] == 1
        assert line[-1] == pytest.approx(told.adjusted.remaining)
        assert line == sorted(line, reverse=True)

    def test_parts_of_the_period_hold_every_event_once(self, tmp_path: Path) -> None:
        told = figures(slospecs.slo(tmp_path), self.SPAN, RHYTHM, self.recorded(day(1, but=range(100, 200))), [])
        parts = ratios(told, 24)
        assert [ratio for *_, ratio in parts].count(None) == 7
        assert {ratio for *_, ratio in parts} == {None, 0.01}

    def test_gaps_are_where_slices_are_missing(self, tmp_path: Path) -> None:
        told = figures(slospecs.slo(tmp_path), self.SPAN, RHYTHM, self.recorded(day(but=range(100, 200))), [])
        assert gaps(told) == [(99 * 300, 199 * 300)]
        assert (told.coverage.present, told.coverage.expected) == (188, 288)

    def test_no_traffic_spends_nothing_and_meets_nothing(self, tmp_path: Path) -> None:
        told = figures(slospecs.slo(tmp_path), self.SPAN, RHYTHM, self.recorded([Slice(300, 0, 0)]), [])
        assert (told.met, told.adjusted.remaining, told.adjusted.attainment) == (None, 1, None)
