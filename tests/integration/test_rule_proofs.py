"""Alerts proven by promtool: they fire when the maths says so, reset when it says so, and are silent else."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.maths import burn
from monitoring.rules.build import slo_file
from monitoring.rules.model import Group
from monitoring.rules.platform import watchdog
from monitoring.rules.tiers import burns
from monitoring.spec.model import Slo
from monitoring.spec.reader import load
from tests.support.proofs import PROFILE, SCRAPE_S, Expected, counter, firing, prove
from tests.support.repository import SLOS

OBJECTIVES = {slo.name: slo for slo in load([SLOS])}
OWED = 'messenger_fanout_owed_total{path="message",instance="n1"}'
GOOD = 'messenger_fanout_latency_seconds_bucket{path="message",le="0.25",instance="n1"}'
SETTLED, CONFIRMED = "messenger_deliveries_settled_total", "messenger_deliveries_confirmed_total"
DIRECT = firing(
    "FanoutLatencyThreshold", kind="threshold", severity="page", slo_id="fanout-latency", service="messenger"
)


def groups(slo: Slo, *kinds: str) -> list[Group]:
    """The groups of an SLO's rule file: quick, slow, period."""
    return [g for g in slo_file(slo, PROFILE).groups if g.name.rsplit("/", 1)[-1] in kinds]


def first_after(seconds: Decimal) -> int:
    """The first evaluation strictly later than this."""
    return (math.floor(seconds / SCRAPE_S) + 1) * SCRAPE_S


class TestTheDirectAlert:
    """More than 5 % of owed deliveries not within 250 ms over two minutes (30 s on this scale)."""

    HEALTHY = 60
    FAULT_AT_S = HEALTHY * SCRAPE_S

    def prove(self, folder: Path, series: dict[str, str], *expected: Expected) -> None:
        prove(folder, groups(OBJECTIVES["fanout-latency"], "quick", "period"), series, expected)

    def test_slow_fan_out_fires_and_resets(self, tmp_path: Path) -> None:
        slo = OBJECTIVES["fanout-latency"]
        window_s = PROFILE.window(slo.threshold_window or slo.period)
        half = Decimal("0.5")
        fires = first_after(burn.time_to_detect_s(Decimal(1), slo.target, window_s, half) or Decimal(0)) + SCRAPE_S
        end_s = self.FAULT_AT_S + 60 * SCRAPE_S
        resets = math.ceil(burn.time_to_reset_s(Decimal(1), slo.target, window_s, half) / SCRAPE_S) * SCRAPE_S
        self.prove(
            tmp_path,
            {OWED: counter((180, 20)), GOOD: counter((60, 20), (60, 10), (60, 20))},
            Expected(self.FAULT_AT_S, DIRECT, 0),
            Expected(self.FAULT_AT_S + fires - SCRAPE_S, DIRECT, 0),
            Expected(self.FAULT_AT_S + fires, DIRECT, 1),
            Expected(end_s, DIRECT, 1),
            Expected(end_s + resets - SCRAPE_S, DIRECT, 1),
            Expected(end_s + resets, DIRECT, 0),
        )

    def test_a_total_stall_fires_and_keeps_firing(self, tmp_path: Path) -> None:
        """A quantile would call this resolved as soon as nothing is observed any more."""
        self.prove(
            tmp_path,
            {OWED: counter((180, 20)), GOOD: counter((60, 20), (120, 0))},
            Expected(self.FAULT_AT_S, DIRECT, 0),
            Expected(self.FAULT_AT_S + 2 * SCRAPE_S, DIRECT, 1),
            Expected(self.FAULT_AT_S + 120 * SCRAPE_S, DIRECT, 1),
        )

    def test_good_events_that_never_existed_fire(self, tmp_path: Path) -> None:
        self.prove(tmp_path, {OWED: counter((60, 20))}, Expected(3 * SCRAPE_S, DIRECT, 1))

    def test_a_stall_at_low_traffic_fires_with_the_third_bad_event(self, tmp_path: Path) -> None:
        """Traffic of one event every second scrape: six scrapes hold three of them."""
        owed = " ".join(str(i // 2) for i in range(121))
        good = " ".join(str(min(i // 2, 30)) for i in range(121))
        self.prove(
            tmp_path,
            {OWED: owed, GOOD: good},
            Expected(self.FAULT_AT_S + 5 * SCRAPE_S, DIRECT, 0),
            Expected(self.FAULT_AT_S + 8 * SCRAPE_S, DIRECT, 1),
        )

    @pytest.mark.parametrize(
        ("owed", "good"),
        [
            pytest.param(counter((120, 20)), counter((120, 20)), id="healthy"),
            pytest.param(counter((120, 100)), counter((120, 95)), id="just inside the objective"),
            pytest.param(counter((120, 0)), counter((120, 0)), id="no traffic"),
            pytest.param(counter((60, 0), (1, 2), (59, 0)), counter((60, 0), (1, 1), (59, 0)), id="one bad of two"),
            pytest.param(counter((60, 0), (1, 2), (59, 0)), counter((120, 0)), id="two bad of two"),
            pytest.param(
                counter((60, 20), (1, 40), (59, 20)),
                counter((61, 20), (1, 40), (58, 20)),
                id="a scrape between the two counters",
            ),
            pytest.param(counter((120, 10)), counter((120, 20)), id="more good than owed"),
            pytest.param(
                f"{counter((60, 20))} {counter((58, 20))}", f"{counter((60, 20))} {counter((58, 20))}", id="a restart"
            ),
        ],
    )
    def test_it_is_silent(self, tmp_path: Path, owed: str, good: str) -> None:
        moments = range(0, 120 * SCRAPE_S, SCRAPE_S)
        self.prove(tmp_path, {OWED: owed, GOOD: good}, *(Expected(at, DIRECT, 0) for at in moments))


class TestBurnRates:
    """A total outage of the 99.9 % delivery objective, after a healthy history."""

    SLO = OBJECTIVES["delivery"]
    HISTORY = 360  # scrapes: half an hour, two long windows of the quick page

    def test_the_quick_page_fires_and_resets_at_the_predicted_evaluations(self, tmp_path: Path) -> None:
        tier = burns(self.SLO)[0]
        long_s, short_s = PROFILE.window(tier.long), PROFILE.window(tier.short)
        fires = first_after(burn.time_to_detect_s(tier.factor, self.SLO.target, long_s, Decimal(1)) or Decimal(0))
        resets = burn.time_to_reset_s(tier.factor, self.SLO.target, short_s, Decimal(1))
        start_s = self.HISTORY * SCRAPE_S
        end_s = start_s + 40 * SCRAPE_S
        quick = firing("DeliveryBudgetBurn", tier="page-quick", severity="page", kind="burnrate")
        reset_s = end_s + math.ceil(resets / SCRAPE_S) * SCRAPE_S
        prove(
            tmp_path,
            groups(self.SLO, "quick", "period"),
            {SETTLED: counter((self.HISTORY + 120, 10)), CONFIRMED: counter((self.HISTORY, 10), (40, 0), (80, 10))},
            [
                Expected(start_s, quick, 0),
                Expected(start_s + fires - SCRAPE_S, quick, 0),
                Expected(start_s + fires, quick, 1),
                Expected(reset_s - SCRAPE_S, quick, 1),
                Expected(reset_s, quick, 0),
            ],
        )

    def test_a_lone_failure_on_a_fresh_stack_is_silent(self, tmp_path: Path) -> None:
        """One of eight canaries is 12.5 % bad, far above every threshold; the guard asks for three."""
        lost = 'messenger_probe_canaries_total{outcome="lost"}'
        delivered = 'messenger_probe_canaries_total{outcome="delivered"}'
        anything = 'count(ALERTS{alertstate="firing"}) or vector(0)'
        prove(
            tmp_path,
            groups(OBJECTIVES["probe"], "quick", "period"),
            {delivered: counter((60, 1)), lost: counter((8, 0), (1, 1), (51, 0))},
            [Expected(at, anything, 0) for at in range(0, 60 * SCRAPE_S, SCRAPE_S)],
        )

    def test_an_outage_at_low_traffic_pages_with_the_third_bad_event(self, tmp_path: Path) -> None:
        lost = 'messenger_probe_canaries_total{outcome="lost"}'
        delivered = 'messenger_probe_canaries_total{outcome="delivered"}'
        quick = firing("ProbeBudgetBurn", tier="page-quick")
        prove(
            tmp_path,
            groups(OBJECTIVES["probe"], "quick", "period"),
            {delivered: counter((60, 1), (20, 0)), lost: counter((60, 0), (20, 1))},
            [Expected(62 * SCRAPE_S, quick, 0), Expected(63 * SCRAPE_S + SCRAPE_S, quick, 1)],
        )

    @pytest.mark.parametrize(
        ("probers", "failing", "pages"),
        [
            pytest.param(1, 1, True, id="the only one there is"),
            pytest.param(3, 1, False, id="one of three"),
            pytest.param(3, 2, True, id="two of three"),
        ],
    )
    def test_a_page_waits_for_a_second_prober_that_sees_it(
        self, tmp_path: Path, probers: int, failing: int, pages: bool
    ) -> None:
        series = {}
        for n in range(probers):
            broken = n < failing
            place = f'instance="p{n}"'
            series[f'messenger_probe_canaries_total{{outcome="delivered",{place}}}'] = counter(
                (60, 1), (60, 0 if broken else 1)
            )
            series[f'messenger_probe_canaries_total{{outcome="late",{place}}}'] = counter(
                (60, 0), (60, 1 if broken else 0)
            )
        page = firing("ProbeBudgetBurn", tier="page-quick")
        ratio = "count(slo:errors:ratio_rate5m > 0.0144) or vector(0)"
        ratio = ratio.replace("5m", str(PROFILE.window(burns(OBJECTIVES["probe"])[0].short)))
        at = 70 * SCRAPE_S
        prove(
            tmp_path,
            groups(OBJECTIVES["probe"], "quick", "period"),
            series,
            [Expected(50 * SCRAPE_S, page, 0), Expected(at, page, int(pages)), Expected(at, ratio, 1)],
        )

    def test_both_tickets_fire_on_a_slow_burn_that_no_page_sees(self, tmp_path: Path) -> None:
        """5 % bad of 1 % is five times too fast: above the tickets' 3 and 1, below the pages' 14.4 and 6."""
        tickets = firing("RequestsBudgetBurn", severity="ticket", kind="burnrate")
        pages = firing("RequestsBudgetBurn", severity="page")
        scrapes = 200
        prove(
            tmp_path,
            groups(OBJECTIVES["requests"], "quick", "slow", "period"),
            {
                'messenger_requests_total{outcome="ok"}': counter((scrapes, 95)),
                'messenger_requests_total{outcome="server_error"}': counter((scrapes, 5)),
            },
            [Expected(scrapes * SCRAPE_S, tickets, 2), Expected(scrapes * SCRAPE_S, pages, 0)],
        )


class TestTheBudget:
    """What is left of it, from the first minute on."""

    LEFT = "sum(slo:error_budget_remaining:ratio)"

    def test_it_is_whole_without_traffic_and_is_never_nan(self, tmp_path: Path) -> None:
        every = '{__name__=~"slo:.+"}'
        prove(
            tmp_path,
            groups(OBJECTIVES["delivery"], "quick", "period"),
            {SETTLED: counter((60, 0)), CONFIRMED: counter((60, 0))},
            [
                Expected(2 * SCRAPE_S, self.LEFT, 1),
                Expected(60 * SCRAPE_S, self.LEFT, 1),
                Expected(60 * SCRAPE_S, "sum(slo:errors:ratio_period)", None),
                # Neither NaN nor an infinity passes this comparison.
                Expected(60 * SCRAPE_S, f"count({every}) - count({every} > -1e9 < 1e9)", 0),
            ],
        )

    def test_it_is_absent_without_the_metric(self, tmp_path: Path) -> None:
        prove(
            tmp_path,
            groups(OBJECTIVES["delivery"], "quick", "period"),
            {"something_else": counter((60, 1))},
            [Expected(60 * SCRAPE_S, self.LEFT, None)],
        )

    def test_before_the_first_slice_it_is_read_from_the_raw_window(self, tmp_path: Path) -> None:
        """Half the budget gone: 0.05 % bad at 99.9 %."""
        prove(
            tmp_path,
            groups(OBJECTIVES["delivery"], "quick"),
            {SETTLED: counter((60, 10_000)), CONFIRMED: counter((60, 9_995))},
            [Expected(60 * SCRAPE_S, f"round({self.LEFT}, 0.000001)", 0.5)],
        )

    def test_the_period_is_weighed_by_requests_and_a_quiet_bad_hour_weighs_little(self, tmp_path: Path) -> None:
        """100 quiet scrapes all bad, 900 busy ones all good: 0.11 % of events are bad, not 10 %."""
        rounded = "round(sum(slo:errors:ratio_period), 0.0001)"
        prove(
            tmp_path,
            groups(OBJECTIVES["delivery"], "quick", "period"),
            {
                SETTLED: counter((100, 1), (900, 100)),
                CONFIRMED: counter((100, 0), (900, 100)),
            },
            [Expected(1000 * SCRAPE_S, rounded, 0.0011)],
        )


def test_the_watchdog_always_fires(tmp_path: Path) -> None:
    prove(tmp_path, watchdog(PROFILE, "messenger").groups, {}, [Expected(0, firing("Watchdog", severity="none"), 1)])
