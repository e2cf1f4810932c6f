"""Each kind of SLI and of budget as rules, asked of the real promtool and the real Prometheus."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.maths.durations import Duration
from monitoring.promql import Selector
from monitoring.rules import data
from monitoring.rules.build import slo_file
from monitoring.rules.model import Group
from monitoring.spec.model import (
    WINDOW,
    CompositeSli,
    EventSli,
    NoTraffic,
    Part,
    Query,
    RatioSli,
    SampleSli,
    Service,
    Slices,
    Slo,
)
from tests.support.proofs import PROFILE, SCRAPE_S, Expected, counter, prove

WINDOW_15M = "slo:errors:ratio_rate15m"
"""An hour on this scale."""

EVERY = '{__name__=~"slo:.+"}'


def count(selector: str) -> Query:
    return Query(f"sum(increase({selector}[{WINDOW}]))", (Selector(selector),))


GOOD_OF_TOTAL = EventSli(count("all_total"), good=count("good_total"))
BAD_OF_TOTAL = EventSli(count("all_total"), bad=count("bad_total"))
SLO = Slo(
    name="it",
    display_name="It",
    description="It works.",
    service=Service("shop", "Shop"),
    target=Decimal("0.99"),
    period=Duration.parse("7d"),
    sli=GOOD_OF_TOTAL,
    runbook="it",
    dashboard=None,
    threshold_window=None,
    min_bad_events=3,
    disabled_tiers=frozenset(),
    file="it.yaml",
    line=1,
)


def groups(slo: Slo, spans: tuple[tuple[int, int], ...] = ()) -> list[Group]:
    """Without the slow alerts, whose long windows cost promtool most and are made of the same parts."""
    return [group for group in slo_file(slo, PROFILE, spans).groups if not group.name.endswith("/slow")]


def at(scrape: int, expr: str, value: float | None) -> Expected:
    return Expected(scrape * SCRAPE_S, f"round(sum({expr}), 0.000001)", value)


class TestWhatIsBad:
    """The share of bad events over an hour (15 minutes here), for each kind of SLI."""

    def test_bad_events_of_a_total(self, tmp_path: Path) -> None:
        series = {"all_total": counter((200, 10)), "bad_total": counter((200, 1))}
        prove(tmp_path, groups(replace(SLO, sli=BAD_OF_TOTAL)), series, [at(200, WINDOW_15M, 0.1)])

    def test_more_bad_than_total_is_all_bad(self, tmp_path: Path) -> None:
        series = {"all_total": counter((200, 10)), "bad_total": counter((200, 25))}
        prove(tmp_path, groups(replace(SLO, sli=BAD_OF_TOTAL)), series, [at(200, WINDOW_15M, 1)])

    def test_less_good_than_nothing_is_all_bad(self, tmp_path: Path) -> None:
        """Good events that a spec computes as a difference, and more errors than requests."""
        difference = Query(f"sum(increase(all_total[{WINDOW}])) - sum(increase(bad_total[{WINDOW}]))", ())
        series = {"all_total": counter((200, 10)), "bad_total": counter((200, 25))}
        sli = EventSli(count("all_total"), good=difference)
        prove(tmp_path, groups(replace(SLO, sli=sli)), series, [at(200, WINDOW_15M, 1)])

    def test_less_bad_than_nothing_is_nothing(self, tmp_path: Path) -> None:
        """Bad events that a spec computes as a difference, where the two are not counted at the same moment."""
        difference = Query(f"sum(increase(all_total[{WINDOW}])) - sum(increase(good_total[{WINDOW}]))", ())
        series = {"all_total": counter((200, 10)), "good_total": counter((200, 11))}
        prove(
            tmp_path,
            groups(replace(SLO, sli=EventSli(count("all_total"), bad=difference))),
            series,
            [at(200, WINDOW_15M, 0), at(200, "slo:error_budget_remaining:ratio", 1)],
        )

    def test_a_ratio_that_a_query_gives(self, tmp_path: Path) -> None:
        """NaN where nothing was; what comes out is absent, and the budget stays whole."""
        text = f"sum(increase(bad_total[{WINDOW}])) / sum(increase(all_total[{WINDOW}]))"
        slo = replace(SLO, sli=RatioSli(Query(text, ())))
        series = {"all_total": counter((100, 0), (200, 10)), "bad_total": counter((100, 0), (200, 1))}
        prove(
            tmp_path,
            groups(slo),
            series,
            [
                at(50, WINDOW_15M, None),
                at(300, WINDOW_15M, 0.1),
                at(300, "slo:errors:ratio_period > bool 0.08 < bool 2", 1),
                # Neither NaN nor an infinity passes this comparison.
                Expected(50 * SCRAPE_S, f"count({EVERY}) - count({EVERY} > -1e9 < 1e9)", 0),
            ],
        )

    def test_a_gauge_that_must_stay_below_a_bound(self, tmp_path: Path) -> None:
        slo = replace(SLO, sli=SampleSli("avg(seconds >= bool 0.5)", ()))
        series = {"seconds": "0.1x89 0.9x9 0.1x100"}
        prove(
            tmp_path,
            groups(slo),
            series,
            [at(179, WINDOW_15M, 0.055556), at(179, 'slo:events:increase15m{slo_id="it"}', 180)],
        )

    def test_a_gauge_that_is_no_number_or_beyond_the_bounds(self, tmp_path: Path) -> None:
        slo = replace(SLO, sli=SampleSli("part / whole", ()))
        every = [at(59, "slo:errors:sample", None), at(119, "slo:errors:sample", 1), at(119, WINDOW_15M, 1)]
        prove(tmp_path, groups(slo), {"part": "0x59 7x59", "whole": "0x59 1x59"}, every)

    def test_several_as_one_by_events(self, tmp_path: Path) -> None:
        """10 % of 10 with weight 3, 50 % of 2 with weight 1: (3 + 1) of (30 + 2)."""
        parts = (
            Part("a", Decimal(3), Decimal("0.99"), BAD_OF_TOTAL),
            Part("b", Decimal(1), Decimal("0.99"), EventSli(count("few_total"), bad=count("few_bad_total"))),
        )
        series = {
            "all_total": counter((200, 10)),
            "bad_total": counter((200, 1)),
            "few_total": counter((200, 2)),
            "few_bad_total": counter((200, 1)),
        }
        prove(tmp_path, groups(replace(SLO, sli=CompositeSli(parts))), series, [at(200, WINDOW_15M, 4 / 32)])

    def test_a_part_of_a_composite_without_data_is_left_out(self, tmp_path: Path) -> None:
        parts = (
            Part("a", Decimal(3), Decimal("0.99"), BAD_OF_TOTAL),
            Part("b", Decimal(1), Decimal("0.99"), EventSli(count("none_total"), bad=count("none_bad_total"))),
        )
        series = {"all_total": counter((200, 10)), "bad_total": counter((200, 1))}
        prove(tmp_path, groups(replace(SLO, sli=CompositeSli(parts))), series, [at(200, WINDOW_15M, 0.1)])

    def test_several_as_one_by_slices_whatever_their_traffic(self, tmp_path: Path) -> None:
        """10 % with weight 3 and 50 % with weight 1, though b has a fifth of the traffic: 0.2."""
        parts = (
            Part("a", Decimal(3), Decimal("0.99"), BAD_OF_TOTAL),
            Part("b", Decimal(1), Decimal("0.99"), EventSli(count("few_total"), bad=count("few_bad_total"))),
        )
        slo = replace(SLO, sli=CompositeSli(parts), slices=Slices(Duration(120)))
        series = {
            "all_total": counter((300, 10)),
            "bad_total": counter((300, 1)),
            "few_total": counter((300, 2)),
            "few_bad_total": counter((300, 1)),
        }
        prove(tmp_path, groups(slo), series, [at(300, WINDOW_15M, 0.2)])


class TestSlicesOfTime:
    """Slices of two minutes (30 s here): a quarter of the time 20 % of events are bad."""

    SERIES = {"all_total": counter((400, 10)), "good_total": counter((300, 10), (100, 8))}  # noqa: RUF012

    def test_a_slice_below_its_target_is_bad_as_a_whole(self, tmp_path: Path) -> None:
        slo = replace(SLO, slices=Slices(Duration(120), Decimal("0.9")))
        quarter_of_an_hour = at(400, "slo:events:increase15m", 30.166667)
        prove(
            tmp_path,
            groups(slo),
            self.SERIES,
            [at(300, WINDOW_15M, 0), at(400, "slo:errors:sample", 1), quarter_of_an_hour],
        )

    def test_a_slice_that_just_meets_its_target_is_good(self, tmp_path: Path) -> None:
        slo = replace(SLO, slices=Slices(Duration(120), Decimal("0.8")))
        prove(tmp_path, groups(slo), self.SERIES, [at(s, "slo:errors:sample", 0) for s in range(2, 400, 7)])

    def test_a_slice_above_its_target_is_good_as_a_whole(self, tmp_path: Path) -> None:
        slo = replace(SLO, slices=Slices(Duration(120), Decimal("0.7")))
        prove(tmp_path, groups(slo), self.SERIES, [at(400, "slo:errors:sample", 0), at(400, WINDOW_15M, 0)])

    def test_a_slice_without_target_is_as_bad_as_its_ratio(self, tmp_path: Path) -> None:
        slo = replace(SLO, slices=Slices(Duration(120)))
        prove(tmp_path, groups(slo), self.SERIES, [at(400, "slo:errors:sample", 0.2)])

    @pytest.mark.parametrize(("policy", "value"), [("ignore", None), ("good", 0), ("bad", 1)])
    def test_a_silent_slice_is_what_the_policy_says(
        self, tmp_path: Path, policy: NoTraffic, value: float | None
    ) -> None:
        slo = replace(SLO, slices=Slices(Duration(120), Decimal("0.9")), no_traffic=policy)
        series = {"all_total": counter((60, 0)), "good_total": counter((60, 0))}
        prove(tmp_path, groups(slo), series, [at(60, "slo:errors:sample", value)])


class TestNoTraffic:
    """A silent hour of an SLO that counts events."""

    SERIES = {name: counter((300, 0)) for name in ("all_total", "good_total", "bad_total")}  # noqa: RUF012
    PAGES = 'count(ALERTS{alertstate="firing",severity="page"}) or vector(0)'

    @pytest.mark.parametrize("sli", [GOOD_OF_TOTAL, BAD_OF_TOTAL], ids=["good", "bad"])
    @pytest.mark.parametrize(
        ("policy", "ratio", "left", "pages"), [("ignore", None, 1, 0), ("good", 0, 1, 0), ("bad", 1, -99, 1)]
    )
    def test_it_is_what_the_policy_says(
        self, tmp_path: Path, sli: EventSli, policy: NoTraffic, ratio: float | None, left: float, pages: int
    ) -> None:
        prove(
            tmp_path,
            groups(replace(SLO, sli=sli, no_traffic=policy)),
            self.SERIES,
            [
                at(300, WINDOW_15M, ratio),
                at(300, "slo:error_budget_remaining:ratio", left),
                Expected(300 * SCRAPE_S, self.PAGES, pages),
            ],
        )

    def test_bad_holds_for_a_metric_that_does_not_exist(self, tmp_path: Path) -> None:
        prove(tmp_path, groups(replace(SLO, no_traffic="bad")), {"other": "1x300"}, [at(300, WINDOW_15M, 1)])


class TestMaintenance:
    """Everything fails from second 300 to 600; that was agreed on."""

    SPAN = ((300, 600),)
    SERIES = {"all_total": counter((400, 10)), "good_total": counter((60, 10), (60, 0), (280, 10))}  # noqa: RUF012
    FIRING = 'count(ALERTS{alertstate="firing"}) or vector(0)'

    def test_it_would_have_paged_without(self, tmp_path: Path) -> None:
        prove(tmp_path, groups(SLO), self.SERIES, [Expected(500, self.FIRING, 1)])

    def test_nothing_fires_in_it_or_because_of_it_and_the_budget_stays_whole(self, tmp_path: Path) -> None:
        expected = [Expected(second, self.FIRING, 0) for second in range(0, 1500, 25)]
        prove(
            tmp_path,
            groups(SLO, self.SPAN),
            self.SERIES,
            [
                *expected,
                Expected(500, "sum(slo:maintenance:active)", 1),
                Expected(700, "sum(slo:maintenance:active)", None),
                Expected(2000, "sum(slo:errors:ratio_period)", 0),
                Expected(2000, "sum(slo:errors:ratio_period_unadjusted) > bool 0.1", 1),
            ],
        )

    def test_an_outage_right_after_it_pages_once_the_short_window_is_clean(self, tmp_path: Path) -> None:
        """The short window of the quick page is 75 s here."""
        series = {"all_total": counter((400, 10)), "good_total": counter((60, 10), (340, 0))}
        quick = 'count(ALERTS{alertstate="firing",tier="page-quick"}) or vector(0)'
        prove(
            tmp_path,
            groups(SLO, self.SPAN),
            series,
            [Expected(600, quick, 0), Expected(665, quick, 0), Expected(680, quick, 1)],
        )


class TestData:
    """An SLO that is not measured must be heard of."""

    def prove(self, folder: Path, slo: Slo, series: dict[str, str], *expected: Expected) -> None:
        prove(folder, [*groups(slo), *data.rule_file([slo], PROFILE).groups], series, expected)

    @staticmethod
    def firing(alert: str) -> str:
        return f'count(ALERTS{{alertname="{alert}",alertstate="firing",slo_id="it",service="shop"}}) or vector(0)'

    def test_nothing_is_told_of_a_healthy_one_with_or_without_traffic(self, tmp_path: Path) -> None:
        series = {"all_total": counter((300, 10), (300, 0)), "good_total": counter((300, 10), (300, 0))}
        anything = 'count(ALERTS{kind="data",alertstate="firing"}) or vector(0)'
        self.prove(tmp_path, SLO, series, *(Expected(t, anything, 0) for t in range(0, 3000, 300)))

    def test_a_metric_that_never_was_is_absent_after_an_hour(self, tmp_path: Path) -> None:
        absent = self.firing("SloDataAbsent")
        self.prove(tmp_path, SLO, {"other": "1x400"}, Expected(840, absent, 0), Expected(1000, absent, 1))

    def test_a_metric_that_went_away_is_stale(self, tmp_path: Path) -> None:
        stale = self.firing("SloDataStale")
        series = {"all_total": counter((100, 10)) + " stale", "good_total": counter((100, 10)) + " stale"}
        self.prove(tmp_path, SLO, series, Expected(495, stale, 0), Expected(900, stale, 0), Expected(1000, stale, 1))

    def test_more_good_than_total_is_implausible(self, tmp_path: Path) -> None:
        wrong = self.firing("SloDataImplausible")
        series = {"all_total": counter((300, 10)), "good_total": counter((150, 10), (150, 11))}
        self.prove(tmp_path, SLO, series, Expected(700, wrong, 0), Expected(1500, wrong, 1))

    def test_who_does_not_want_to_hear_of_it_does_not(self, tmp_path: Path) -> None:
        absent = self.firing("SloDataAbsent")
        self.prove(tmp_path, replace(SLO, alert_when_no_data=False), {"other": "1x400"}, Expected(1500, absent, 0))
