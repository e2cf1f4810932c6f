"""The oracle by itself: ranges as Prometheus reads them, policies for no traffic, the closed forms of burn rates."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.errors import PromqlError
from monitoring.maths import burn
from monitoring.maths.durations import Duration
from monitoring.oracle.data import ABSENT, IMPLAUSIBLE, STALE, simulate_data
from monitoring.oracle.query import value_of
from monitoring.oracle.samples import ENDED, Series, Store
from monitoring.oracle.simulate import conditions, simulate
from monitoring.oracle.slis import Reading, measure, read
from monitoring.promql import Matcher, Selector
from monitoring.proofs.stimulus import Phase, find, samples
from monitoring.rules.profile import Profile
from monitoring.spec.extensions import TIER_NAMES
from monitoring.spec.model import CompositeSli, EventSli, Part, Query, RatioSli, SampleSli, Slices, Slo
from tests.support import slospecs
from tests.support.stories import increase

MINUTE = 60_000
PROFILE = Profile(Duration(1), Duration(1), 75, "", "")


def scraped(*values: float | None, name: str = "x_total", every_ms: int = 10_000, **labels: str) -> Series:
    return Series(name, labels, [(n * every_ms, value) for n, value in enumerate(values) if value is not None])


def given(slo: Slo, *series: Series, at_ms: int, window_s: int = 60) -> Reading:
    evaluations = list(range(0, at_ms + 1, 10_000))
    profile = replace(PROFILE, divisor=1, scrape_interval=Duration(10))
    return read(measure(slo, profile, Store(series), evaluations), Duration(window_s), at_ms)


@pytest.mark.parametrize(
    ("series", "start_ms", "end_ms", "increase_"),
    [
        pytest.param(scraped(0, 10, 20, 30), 0, 30_000, 30, id="the range is closed on both sides"),
        pytest.param(scraped(0, 10, 20, 30), 5_000, 30_000, 25, id="a border nearer than 1.1 intervals"),
        pytest.param(scraped(100, 110, 120, 130), -60_000, 30_000, 35, id="a border further away: half an interval"),
        pytest.param(scraped(2, 12, 22, 32), -9_000, 30_000, 32, id="no further back than to zero"),
        pytest.param(scraped(5, 15, 3, 13), 0, 30_000, 23, id="a reset"),
        pytest.param(scraped(5), 0, 30_000, None, id="one sample is not enough"),
        pytest.param(scraped(0, 10, ENDED, 40), 0, 30_000, 40, id="a marker of staleness is no sample"),
        pytest.param(scraped(7, 7, 7), 0, 20_000, 0, id="nothing happened"),
    ],
)
def test_increase_is_prometheus_own(series: Series, start_ms: int, end_ms: int, increase_: float | None) -> None:
    assert series.increase(start_ms, end_ms) == (None if increase_ is None else pytest.approx(increase_))


def test_an_instant_vector_looks_back_five_minutes_and_stops_where_a_series_ended() -> None:
    lone, ended = scraped(3), scraped(3, ENDED)
    assert (lone.at(5 * MINUTE), lone.at(5 * MINUTE + 1), lone.at(-1)) == (3, None, None)
    assert (ended.at(9_999), ended.at(10_000)) == (3, None)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("histogram_quantile(0.9, x_bucket)", "histogram_quantile"),
        ("sum(x @ end())", "@"),
        ("topk(3, x)", "topk"),
        ("max_over_time(x[5m:1m])", "max_over_time"),
        ("sum by (a) (x)", "more than one value without labels"),
        ("x / on (a) group_left y", "group_left"),
        ("sum(x{a=~'[[:alpha:]]'})", "regular expression"),
    ],
)
def test_what_is_not_understood_is_said_and_not_guessed(query: str, reason: str) -> None:
    with pytest.raises(PromqlError) as caught:
        value_of(query, Store([Series("x", {"a": "b"}, [(0, 1.0)])]), 0)
    assert reason in str(caught.value)


class TestEvents:
    """Bad events lie between none and all, and missing series mean what they must."""

    OWED, CAME = scraped(*range(0, 70, 10), name="owed_total"), scraped(*range(0, 63, 9), name="came_total")

    @pytest.fixture
    def slo(self, tmp_path: Path) -> Slo:
        return replace(slospecs.slo(tmp_path), sli=EventSli(total=increase("owed_total"), good=increase("came_total")))

    def test_a_tenth_is_bad(self, slo: Slo) -> None:
        assert given(slo, self.OWED, self.CAME, at_ms=60_000) == Reading(6, 60, 0.1)

    def test_everything_is_bad_when_the_good_series_is_missing(self, slo: Slo) -> None:
        assert given(slo, self.OWED, at_ms=60_000) == Reading(60, 60, 1)

    def test_nothing_is_bad_when_the_bad_series_is_missing(self, slo: Slo) -> None:
        by_bad = replace(slo, sli=EventSli(total=increase("owed_total"), bad=increase("failed_total")))
        assert given(by_bad, self.OWED, at_ms=60_000) == Reading(0, 60, 0)

    def test_more_good_than_there_were_is_not_negative_and_more_bad_is_not_above_one(self, slo: Slo) -> None:
        swapped = EventSli(total=increase("came_total"), good=increase("owed_total"))
        assert given(replace(slo, sli=swapped), self.OWED, self.CAME, at_ms=60_000) == Reading(0, 54, 0)
        swapped = EventSli(total=increase("came_total"), bad=increase("owed_total"))
        assert given(replace(slo, sli=swapped), self.OWED, self.CAME, at_ms=60_000) == Reading(54, 54, 1)

    @pytest.mark.parametrize(
        ("policy", "silent", "absent"),
        [
            ("ignore", Reading(0, 0, None), Reading()),
            ("good", Reading(0, 0, 0), Reading()),
            ("bad", Reading(3, 3, 1), Reading(3, 3, 1)),
        ],
    )
    def test_no_traffic(self, slo: Slo, policy: str, silent: Reading, absent: Reading) -> None:
        told = replace(slo, no_traffic=policy)  # type: ignore[arg-type]
        assert given(told, scraped(*[5] * 7, name="owed_total"), at_ms=60_000) == silent
        assert given(told, at_ms=60_000) == absent


def test_a_ratio_has_nothing_to_count_and_nan_is_no_sample(tmp_path: Path) -> None:
    failed, owed = increase("failed_total").template, increase("owed_total").template
    slo = replace(slospecs.slo(tmp_path), sli=RatioSli(Query(f"{failed} / {owed}", ())))
    busy = (scraped(0, 10, 20, name="owed_total"), scraped(0, 1, 2, name="failed_total"))
    assert given(slo, *busy, at_ms=20_000) == Reading(ratio=pytest.approx(0.1))
    still = (scraped(4, 4, 4, name="owed_total"), scraped(1, 1, 1, name="failed_total"))
    assert given(slo, *still, at_ms=20_000) == Reading()


def test_samples_are_events(tmp_path: Path) -> None:
    slo = replace(slospecs.slo(tmp_path), sli=SampleSli("1 - min(up)", ()))
    assert given(slo, scraped(1, 1, 0, 0, 1, name="up"), at_ms=40_000) == Reading(2, 5, 0.4)


@pytest.mark.parametrize(("target", "ratio"), [(None, pytest.approx(0.43 / 3.6)), (Decimal("0.9"), 3 / 6)])
def test_slices_of_time_are_as_bad_as_their_ratio_or_bad_below_their_target(
    tmp_path: Path, target: Decimal | None, ratio: float
) -> None:
    sli = EventSli(total=increase("owed_total"), bad=increase("failed_total"))
    slo = replace(slospecs.slo(tmp_path), sli=sli, slices=Slices(Duration(40), target))
    owed, failed = scraped(*range(0, 70, 10), name="owed_total"), scraped(0, 0, 2, 2, 8, 8, 8, name="failed_total")
    # The slices: nothing yet, then 0, 2/20, 2/30, 8/40, 8/40, 6/40.
    assert given(slo, owed, failed, at_ms=60_000).ratio == ratio


def test_an_event_of_a_part_counts_as_often_as_its_weight_says(tmp_path: Path) -> None:
    half = Decimal("0.5")
    parts = (
        Part("orders", Decimal(2), half, EventSli(total=increase("owed_total"), bad=increase("failed_total"))),
        Part("pages", Decimal(1), half, EventSli(total=increase("seen_total"), good=increase("fast_total"))),
        Part("idle", Decimal(9), half, EventSli(total=increase("never_total"), good=increase("ever_total"))),
    )
    slo = replace(slospecs.slo(tmp_path), sli=CompositeSli(parts))
    series = [
        scraped(0, 10, 20, name="owed_total"),
        scraped(0, 5, 10, name="failed_total"),
        scraped(0, 30, 60, name="seen_total"),
        scraped(0, 30, 60, name="fast_total"),
    ]
    assert given(slo, *series, at_ms=20_000) == Reading(20, 100, 0.2)


@pytest.mark.parametrize("error_ratio", ["1", "0.3", "0.05", "0.02"])
def test_a_step_is_detected_and_over_when_the_closed_forms_say(tmp_path: Path, error_ratio: str) -> None:
    """Within one scrape and one evaluation, which are one second each on this scale."""
    slo = replace(slospecs.slo(tmp_path), threshold_window=None, disabled_tiers=frozenset({"ticket-slow"}))
    every = conditions(slo, PROFILE)
    history_s = max(one.long for one in every) + 1
    share = Decimal(error_ratio)
    fault_s = 2 * math.ceil(max(_detect_s(slo, one.threshold, one.long, share) or 0 for one in every)) + 300
    phases = [Phase(history_s, 1000, 0), Phase(fault_s, float(1000 - 1000 * share), float(1000 * share))]
    traffic = find(slo).traffic([*phases, Phase(300, 1000, 0)])
    evaluations = range(history_s - 10, history_s + fault_s + 300)
    timelines = simulate(slo, PROFILE, samples(traffic, 1), [at * 1000 for at in evaluations])
    for one in every:
        timeline, detected_s = timelines[one.name], _detect_s(slo, one.threshold, one.long, share)
        if detected_s is None:
            assert timeline.intervals == ()
            continue
        assert timeline.fires_ms is not None
        assert timeline.resets_ms is not None
        factor = Decimal(str(one.threshold)) / burn.error_budget(slo.target)
        reset_s = float(burn.time_to_reset_s(factor, slo.target, one.short or one.long, share))
        assert 0 <= timeline.fires_ms / 1000 - history_s - detected_s <= 2
        assert 0 <= timeline.resets_ms / 1000 - history_s - fault_s - reset_s <= 2
        assert len(timeline.intervals) == 1


def _detect_s(slo: Slo, threshold: float, long_s: int, share: Decimal) -> float | None:
    factor = Decimal(str(threshold)) / burn.error_budget(slo.target)
    found = burn.time_to_detect_s(factor, slo.target, long_s, share)
    return None if found is None else float(found)


class TestMissingData:
    """An SLO without data looks healthy, so its absence is told: windows of 48 s, slices of 4 s on this scale."""

    SLO_BY_GOOD = EventSli(total=increase("owed_total"), good=increase("came_total"))

    def told(self, folder: Path, *series: Series, until_s: int = 200, **more: bool) -> dict[str, tuple[object, ...]]:
        slo = replace(slospecs.slo(folder), sli=self.SLO_BY_GOOD, **more)  # type: ignore[arg-type]
        timelines = simulate_data(slo, PROFILE, series, range(0, until_s * 1000, 1000))
        return {name: timeline.intervals for name, timeline in timelines.items() if timeline.intervals}

    def test_nothing_at_all_is_absent_after_an_hour(self, tmp_path: Path) -> None:
        assert self.told(tmp_path) == {ABSENT: ((48_000, None),)}
        assert self.told(tmp_path, alert_when_no_data=False) == {}

    def test_what_stops_is_stale_and_then_absent(self, tmp_path: Path) -> None:
        """Of 33 scrapes the last slice that holds two ends at 35 s; two slices of 4 s are waited for."""
        series = scraped(*range(33), name="owed_total", every_ms=1000)
        assert self.told(tmp_path, series) == {STALE: ((56_000, 84_000),), ABSENT: ((132_000, None),)}

    def test_more_good_events_than_events_are_implausible(self, tmp_path: Path) -> None:
        owed = scraped(*range(0, 2000, 10), name="owed_total", every_ms=1000)
        came = scraped(*range(0, 2400, 12), name="came_total", every_ms=1000)
        assert self.told(tmp_path, owed, came) == {IMPLAUSIBLE: ((1_000, None),)}
        assert self.told(tmp_path, owed, owed) == {}


def test_a_for_is_waited_for(tmp_path: Path) -> None:
    slo = replace(slospecs.slo(tmp_path), disabled_tiers=frozenset(TIER_NAMES))
    profile = replace(PROFILE, divisor=30)
    traffic = find(slo).traffic([Phase(20, 100, 0), Phase(1, 0, 100), Phase(5, 100, 0)])
    timeline = simulate(slo, profile, samples(traffic, 1), range(0, 27_000, 1000))["threshold"]
    # Bad at 21 s for the first time, and in the window of 4 s up to 24 s; held for one scrape.
    assert timeline.intervals == ((22_000, 25_000),)


def test_selectors_match_as_in_prometheus() -> None:
    store = Store([scraped(1, a="1", b="x"), scraped(1, a="2"), scraped(1, name="y_total")])

    def found(*matchers: tuple[str, str, str]) -> int:
        return len(store.select(Selector("x_total", tuple(Matcher(*one) for one in matchers))))

    assert found() == 2
    assert found(("b", "=", "")) == 1
    assert found(("b", "!=", "x")) == 1
    assert found(("a", "=~", "1|2"), ("b", "!~", ".+")) == 1
    assert found(("a", "=~", "1.")) == 0
