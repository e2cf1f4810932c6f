"""Rules under what goes wrong around them: slices off the clock's grid, renames, values that are no numbers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from monitoring.generatedyaml import dump
from monitoring.maths.durations import Duration
from monitoring.rules import alerts, names, period, recording
from monitoring.rules.model import Group, Recording
from monitoring.rules.period import Span
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns
from monitoring.spec.model import WINDOW, Calendar, Condition, EventSli, Query, Service
from monitoring.spec.reader import load
from tests.integration.test_rule_kinds import EVERY, SLO, groups
from tests.support import slospecs
from tests.support.binaries import require
from tests.support.prometheus import RunningPrometheus, running_prometheus
from tests.support.proofs import SCRAPE_S, Expected, counter, prove
from tests.support.servers import eventually

PROFILE = Profile(Duration(15), Duration(15), 1, "https://runbooks.test/", "https://boards.test/")
SLICE_S, HOUR_S, DAY_S = 300, 3600, 86400
NOON = 20_000 * DAY_S + DAY_S // 2
START, END = NOON - 2 * HOUR_S, NOON + 2 * HOUR_S
NOW = NOON + HOUR_S
LENGTH_S = 3 * HOUR_S


def slo_id(offset_s: int) -> str:
    return f"at-{offset_s}"


def ends(offset_s: int) -> range:
    """When slices end whose group is evaluated so long after each fifth minute."""
    return range(START + offset_s, END, SLICE_S)


def recorded(slo: str, service: str, moments: Sequence[int]) -> Iterator[tuple[str, str, int, int]]:
    """One event a second; the errors of a slice are a number that tells it from the others."""
    labels = f'{{slo_id="{slo}",service="{service}"}}'
    for at in moments:
        yield names.SLICE_EVENTS, labels, SLICE_S, at
        yield names.SLICE_ERRORS, labels, 1 << (at - START) // SLICE_S, at
        yield names.PERIOD_START, labels, NOON, at
        yield names.SLICE_PHASE, labels, at % SLICE_S, at


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    folder = tmp_path_factory.mktemp("slices")
    samples = [one for offset in (0, 60, 299) for one in recorded(slo_id(offset), "shop", ends(offset))]
    samples += recorded("renamed", "old-shop", [at for at in ends(30) if at < NOON])
    samples += recorded("renamed", "shop", [at for at in ends(30) if at >= NOON])
    text = "".join(f"{name}{labels} {value} {at}\n" for name, labels, value, at in sorted(samples))
    (folder / "slices.txt").write_text(f"{text}# EOF\n")
    blocks = [require("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "slices.txt", folder / "data"]
    subprocess.run(blocks, check=True, stdout=subprocess.DEVNULL)
    with running_prometheus(folder, "--storage.tsdb.retention.time=100y") as running:
        yield running


def counted(prometheus: RunningPrometheus, offset_s: int, *spans: Span, calendar: Calendar | None = None) -> list[int]:
    """The ends of the slices that the period's sum has."""
    slo = replace(SLO, name=slo_id(offset_s), period=Duration(LENGTH_S), calendar=calendar)
    expr = period.masked(names.SLICE_ERRORS, slo, PROFILE, spans, calendar=calendar is not None)
    ((_, total),) = prometheus.query(expr, NOW)
    return [at for at in ends(offset_s) if int(total) & 1 << (at - START) // SLICE_S]


@pytest.mark.parametrize("offset_s", [0, 60, 299])
class TestWhereverTheGroupIsEvaluated:
    """Prometheus spreads its groups over their interval: slices end where no subquery steps."""

    @pytest.mark.parametrize("span", [(NOON, NOON + 1800), (NOON + 17, NOON + 1801), (NOON + 100, NOON + 101)])
    def test_just_the_slices_that_touch_maintenance_are_left_out(
        self, prometheus: RunningPrometheus, offset_s: int, span: Span
    ) -> None:
        begin, end = span
        whole = [at for at in ends(offset_s) if at - SLICE_S > NOW - LENGTH_S and at < NOW - SLICE_S]
        found = counted(prometheus, offset_s, span)
        assert [at for at in found if at in whole] == [at for at in whole if at <= begin or at - SLICE_S >= end]

    def test_a_rolling_period_has_every_slice_of_it(self, prometheus: RunningPrometheus, offset_s: int) -> None:
        assert counted(prometheus, offset_s) == [at for at in ends(offset_s) if NOW - LENGTH_S <= at <= NOW]

    def test_no_slice_counts_twice(self, prometheus: RunningPrometheus, offset_s: int) -> None:
        slo = replace(SLO, name=slo_id(offset_s), period=Duration(LENGTH_S))
        expr = period.masked(names.SLICE_EVENTS, slo, PROFILE, [(START - 60, START)], calendar=False)
        ((_, total),) = prometheus.query(expr, NOW)
        assert total == SLICE_S * len(counted(prometheus, offset_s, (START - 60, START)))

    def test_a_calendar_period_has_the_slices_that_end_in_it(
        self, prometheus: RunningPrometheus, offset_s: int
    ) -> None:
        calendar = Calendar(datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None), "UTC", 1, "day")
        found = counted(prometheus, offset_s, calendar=calendar)
        assert found == [at for at in ends(offset_s) if NOON < at <= NOW]


def test_a_period_goes_on_when_the_service_of_an_slo_is_renamed(prometheus: RunningPrometheus) -> None:
    slo = replace(SLO, name="renamed", period=Duration(LENGTH_S))
    rules = [one for one in recording.period_rules(slo, PROFILE, ()) if isinstance(one, Recording)]
    (rule,) = [one for one in rules if one.record == names.PERIOD_RATIO]
    labelled = f'label_replace({rule.expr}, "service", "shop", "", "")'
    assert len(prometheus.query(labelled, NOW)) == 1


def test_after_a_restart_an_hour_does_not_stand_for_a_known_period(tmp_path: Path) -> None:
    """What was recorded 20 minutes ago is too old to be told, and the budget it tells of is not whole again."""
    end = int(time.time()) // 60 * 60
    hour = names.errors_ratio(Duration(HOUR_S))
    lines = [f'{names.PERIOD_RATIO}{{slo_id="it"}} 0.5 {end - 1200}', f'{hour}{{slo_id="it"}} 0 {end}']
    lines += [f'{hour}{{slo_id="it"}} 0 {end - 2 * DAY_S}']
    (tmp_path / "samples.txt").write_text("\n".join([*sorted(lines, key=_by_name_and_time), "# EOF", ""]))
    blocks = [require("promtool"), "tsdb", "create-blocks-from", "openmetrics", tmp_path / "samples.txt"]
    subprocess.run([*blocks, tmp_path / "data"], check=True, stdout=subprocess.DEVNULL)
    (budget,) = [one for one in recording.budget_rules(SLO, PROFILE, ()) if one.record == names.BUDGET_REMAINING]
    with running_prometheus(tmp_path) as running:
        assert running.query(budget.expr, end) == []
        assert running.query(budget.expr, end - 2 * DAY_S) == [({}, 1)]
        assert [round(value) for _, value in running.query(budget.expr, end - 1200)] == [-49]


def _by_name_and_time(line: str) -> tuple[str, int]:
    return line.split("{")[0], int(line.split()[-1])


WORDS = "a {{ $value }} {{- nope }} {{{ `b` \"c\" 'd' \\e $1 }} \u00fc\nend {{"


def test_the_words_of_people_reach_people_as_they_are(tmp_path: Path) -> None:
    """A live Prometheus renders its alerts; no word of a spec is a template to it, and none breaks one."""
    condition = Condition(WORDS, WORDS, Decimal(2), Duration(3600), Duration(300), description=WORDS)
    slo = replace(
        SLO, name="it", service=Service(WORDS, WORDS), display_name=WORDS, description=WORDS, conditions=(condition,)
    )
    slo = replace(slo, labels={"theirs": WORDS})
    deployed = {"service": WORDS, "version": WORDS, "environment": "production", "author": "Ada"}
    group = Group(
        "words",
        Duration(1),
        (
            Recording("monitoring_deploy_timestamp_seconds", "vector(time() - 60)", deployed),
            Recording(names.BUDGET_REMAINING, "vector(0.5)", recording.labels(slo)),
            Recording(names.errors_ratio(Duration(3600)), "vector(0.25)", recording.labels(slo)),
            replace(alerts.burn_alert(slo, burns(slo)[0], PROFILE), expr="vector(0.25)"),
        ),
    )
    (tmp_path / "rules.yml").write_bytes(dump({"groups": [group.to_yaml()]}))
    with running_prometheus(tmp_path, configuration="rule_files: [rules.yml]\n") as running:
        told = eventually(lambda: told_now(running), lambda alert: "Last deployment" in str(alert))
    assert told["labels"] == {
        "alertname": "ItBudgetBurn",
        **recording.labels(slo),
        **dict.fromkeys(("severity", "tier", "theirs"), WORDS),
        "kind": "burnrate",
    }
    assert (
        told["annotations"]["summary"]
        == f"{WORDS}: the error budget burns more than 2 times as fast as it may ({WORDS})"
    )
    assert told["annotations"]["description"] == (
        f"{WORDS}. 25% of all events were bad over the last 1h, which is 25.0 times the pace that the budget allows; "
        "this alert fires above 2 %. Budget left: 50.0 %, gone in 3h 21m 36s at this pace. "
        f"Objective: {WORDS}. Last deployment: {WORDS} to production by Ada, 1m 0s ago."
    )


def told_now(prometheus: RunningPrometheus) -> dict[str, Any]:
    """The one alert that is firing; nothing before it does."""
    found = requests.get(f"{prometheus.url}/api/v1/alerts", timeout=5).json()["data"]["alerts"]
    return dict(found[0]) if found else {}


def test_a_sample_that_is_no_number_does_not_outlive_its_window(tmp_path: Path) -> None:
    """Once in a slice it would be in the budget for a whole period."""
    rules, series = [], {"sound": "1x90"}
    for fault in ("NaN", "Inf", "-Inf"):
        faulty = f"{fault.strip('-')}_{len(series)}".lower()
        series[faulty] = f"1x29 {fault} 1x60"
        for kind, total, part in (("good", "sound", faulty), ("bad", "sound", faulty), ("total", faulty, "sound")):
            every, some = (Query(f"sum(sum_over_time({one}[{WINDOW}]))", ()) for one in (total, part))
            sli = EventSli(every, bad=some) if kind == "bad" else EventSli(every, good=some)
            rules += groups(replace(SLO, name=f"{kind}-{faulty}".replace("_", "-"), sli=sli))
    strange = f"count({EVERY} == Inf or {EVERY} == -Inf or {EVERY} != on (__name__, slo_id) {EVERY})"
    moments = [scrape * SCRAPE_S for scrape in (29, 30, 31, 45, 60, 89)]
    expected = [Expected(at, strange, None) for at in moments]
    expected += [Expected(at, f"count({names.BUDGET_REMAINING})", 9) for at in moments]
    prove(tmp_path, rules, series, expected)


def test_a_query_that_ends_in_or_is_divided_as_a_whole(tmp_path: Path) -> None:
    """`a or vector(0) > 0` compares the zero alone."""
    spec = slospecs.SLO.replace('orders_total{outcome="ok"}', "sum(rate(good_total[5m])) or vector(0)")
    spec = spec.replace("query: orders_total\n", "query: sum(rate(all_total[5m])) or vector(0)\n")
    (slo,) = load([slospecs.write(tmp_path, slospecs.SERVICE, spec)])
    series = {"all_total": counter((200, 10)), "good_total": counter((200, 9))}
    expected = [
        Expected(500, "round(sum(slo:errors:ratio_rate1m15s), 0.001)", 0.1),
        Expected(500, "sum(slo:surplus:slice_increase)", 0),
        Expected(500, "round(sum(slo:errors:ratio_period), 0.001)", 0.1),
        Expected(1500, "sum(slo:errors:ratio_rate1m15s)", None),
    ]
    prove(tmp_path, groups(slo), series, expected)
