"""The oracle in Python and the real Prometheus say the same of the same samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from monitoring.generatedyaml import dump
from monitoring.maths.durations import Duration
from monitoring.oracle.query import value_of
from monitoring.oracle.samples import Series, Store
from monitoring.oracle.simulate import SLICE, budget_remaining, conditions, period_ratio, simulate
from monitoring.oracle.slis import is_counted, measure, read
from monitoring.proofs import promtool
from monitoring.proofs.plan import firing
from monitoring.proofs.promtool import Expected, UnitTest, unit_tests
from monitoring.rules import names
from monitoring.rules.build import slo_file
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo
from tests.support.backfilled import backfilled
from tests.support.binaries import require
from tests.support.objectives import KINDS, SLOS
from tests.support.stories import INSTANCES, Track, bad_of_total, good_of_total, seeds, story

SCRAPE_S, EVALUATION_S = 5, 11  # evaluations fall between scrapes, where increases are extrapolated
PROFILE = Profile(Duration(SCRAPE_S), Duration(EVALUATION_S), 6, "https://runbooks.test/", "https://boards.test/")
RELATIVE = 1e-9


def bounded(examples: int) -> settings:
    """The same few examples at each run; a failure is told as it was found, for each try at less costs seconds."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


EVERY = '{__name__=~"slo:.+"}'


class TestRulesUnderPromtool:
    """The generated rules give what the oracle computes from the raw samples, and alerts fire when it says."""

    @bounded(2)
    @given(seeds(6))
    def test_random_traffic(self, chosen: list[int]) -> None:
        _hold(SLOS, [_unit_test(SLOS, seed) for seed in chosen])

    @pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS.keys())
    def test_every_kind_of_sli_and_policy(self, kinds: tuple[Slo, ...]) -> None:
        _hold(kinds, [_unit_test(kinds, seed) for seed in range(2)])


class TestRawQueriesOverABackfilledDatabase:
    """What an SLI's own queries give a Prometheus that was never scraping: scrapes at odd moments, over two blocks."""

    @bounded(2)
    @given(seeds(8))
    def test_random_traffic(self, chosen: list[int]) -> None:
        series = [one for number, seed in enumerate(chosen) for one in _scraped(number, seed)]
        store = Store(series)
        with backfilled(series) as ask:
            for number, seed in enumerate(chosen):
                chance = Random(seed)
                for query in _queries(number):
                    at_ms = BEGIN_MS + chance.randint(0, 700_000)
                    ours, theirs = value_of(query, store, at_ms), ask(query, at_ms)
                    assert _same(ours, theirs), f"{query} at {at_ms}: {ours} here, {theirs} there"


BEGIN_MS = 1_700_006_400_000 - 200_000  # a block ends after 200 s
PLAIN_QUERIES = (
    "sum(owed_total{story='N'})",
    "avg(requests_total{story='N'}) - max(requests_total{story='N'})",
    "count(requests_total{story='N'} > 50) or vector(0)",
    "sum(rate(requests_total{story='N',outcome!='ok'}[50s] offset 20s)) * 60",
    "sum(rate(requests_total{story='N',outcome=~'err.*'}[1m])) / sum(rate(requests_total{story='N'}[1m]) > 0)",
    "avg(avg_over_time(owed_total{story='N'}[30s]) - on(instance) min_over_time(owed_total{story='N'}[1m]))",
    "sum(count_over_time(requests_total{story='N',outcome!~'ok|x'}[45s]))",
    "clamp_min(sum(increase(owed_total{story='N'}[1m])) - (sum(increase(came_total{story='N'}[1m])) or vector(0)), 0)",
    "count(owed_total{story='N'} and on(instance) came_total{story='N'} > 3)",
    "count(owed_total{story='N'} unless ignoring(outcome) came_total{story='N'})",
    "max(sum by (instance) (requests_total{story='N'}) == bool 0)",
    "min(sum without (outcome) (increase(requests_total{story='N'}[25s])))",
    "-sum(last_over_time(owed_total{story='N'}[10m])) + 2",
    "round(avg(increase(came_total{story='N'}[33s])), 0.5)",
    "1 - clamp(avg(owed_total{story='N'}) / 500, 0, 1)",
)


def _scraped(number: int, seed: int) -> list[Series]:
    """A story as it lies in the database: scraped at odd milliseconds, without markers of staleness."""
    chance = Random(seed)
    times = {name: [BEGIN_MS + n * 5000 + chance.randint(-900, 900) for n in range(200)] for name in INSTANCES}
    return [
        replace(series, labels={**series.labels, "story": str(number)}, samples=_without_nan(series))
        for series in (track.series(times[track.labels["instance"]]) for track in story(seed))
    ]


def _without_nan(series: Series) -> list[tuple[int, float]]:
    return [(at, value) for at, value in series.samples if not math.isnan(value)]


def _queries(number: int) -> Iterator[str]:
    for sli in (good_of_total(number), bad_of_total(number)):
        for query in (sli.total, sli.good, sli.bad):
            yield from (query.over(Duration(s)) for s in (10, 20, 61, 300, 3600) if query)
    yield from (query.replace("N", str(number)) for query in PLAIN_QUERIES)


def _same(ours: float | None, theirs: float | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return math.isclose(ours, theirs, rel_tol=RELATIVE, abs_tol=RELATIVE) or (math.isnan(ours) and math.isnan(theirs))


def _unit_test(slos: Sequence[Slo], seed: int) -> UnitTest:
    tracks = story(seed)
    length = max(len(track.values) for track in tracks)
    evaluations = range(0, (length + 10) * SCRAPE_S, EVALUATION_S)
    looked = sorted(Random(seed).sample(evaluations, min(len(evaluations), 8)))
    expected = [one for slo in slos for one in _expected(slo, tracks, evaluations, looked)]
    return UnitTest(f"story {seed}", SCRAPE_S, {str(track): track.values for track in tracks}, expected)


def _expected(slo: Slo, tracks: list[Track], evaluations: range, looked: list[int]) -> Iterator[Expected]:
    times_ms = [n * SCRAPE_S * 1000 for n in range(max(len(track.values) for track in tracks))]
    series = [track.series(times_ms) for track in tracks]
    moments_ms = [at * 1000 for at in evaluations]
    measured = measure(slo, PROFILE, Store(series), moments_ms)
    windows = {window for one in conditions(slo, PROFILE) for window in (one.long, one.short) if window}
    slice_ = PROFILE.window(SLICE)
    for at_s in looked:
        so_far = [at for at in moments_ms if at <= at_s * 1000]
        for window in sorted(windows):
            yield _about(at_s, slo, names.errors_ratio(window), read(measured, window, at_s * 1000).ratio)
        sliced = read(measured, slice_, at_s * 1000)
        if is_counted(slo):
            yield _about(at_s, slo, names.SLICE_EVENTS, sliced.total)
            yield _about(at_s, slo, names.SLICE_ERRORS, sliced.bad)
        yield _about(at_s, slo, names.PERIOD_RATIO, period_ratio(measured, PROFILE, so_far))
        # The budget is told before this evaluation's slice is taken, as the groups stand in the file.
        yield _about(at_s, slo, names.BUDGET_REMAINING, budget_remaining(measured, PROFILE, so_far[:-1], at_s * 1000))
        # Neither NaN nor an infinity passes this comparison.
        yield Expected(at_s, f"count({EVERY}) - count({EVERY} > -1e12 < 1e12) or vector(0)", 0)
    for timeline in simulate(slo, PROFILE, series, moments_ms).values():
        if timeline.doubtful_ms:
            continue
        alert = firing(slo, timeline.condition)
        for at_s in looked:
            yield Expected(at_s, f"count({alert}) or vector(0)", int(timeline.firing[evaluations.index(at_s)]))
        whole_s = evaluations[-1]
        yield Expected(whole_s, f"sum(count_over_time({alert}[{whole_s}s]))", sum(timeline.firing) or None)


def _about(at_s: int, slo: Slo, name: str, value: float | None) -> Expected:
    recorded = f"sum({names.of(name, slo.name)})"
    if value is None:
        return Expected(at_s, recorded, None)
    return Expected(at_s, f"abs({recorded} - {value!r}) <= bool {RELATIVE * max(1.0, abs(value)):.3g}", 1)


def _hold(slos: Sequence[Slo], tests: Sequence[UnitTest]) -> None:
    require("promtool")
    groups = [group for slo in slos for group in slo_file(slo, PROFILE).groups]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_bytes(dump({"groups": [group.to_yaml() for group in groups]}))
        file = folder / "test.yml"
        file.write_bytes(dump(unit_tests(["rules.yml"], EVALUATION_S, [group.name for group in groups], tests)))
        done = promtool.run(file)
    assert done.returncode == 0, done.stdout + done.stderr
