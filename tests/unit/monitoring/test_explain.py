"""`explain`: the Workbook's figures, what no alert pages in time, and what traffic and Prometheus have to bear."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from monitoring.__main__ import main
from monitoring.document import Bullets, Code, Heading, Paragraph, Table, render
from monitoring.explain.page import as_data, page
from monitoring.explain.tables import DIRECT, Explanation, explain, queries
from monitoring.maths import burn
from monitoring.maths.durations import Duration
from monitoring.rules.build import slo_file
from monitoring.rules.model import Alert
from monitoring.rules.profile import Profile
from monitoring.spec.model import CompositeSli, Part, Query, RatioSli, SampleSli, Sli, Slices
from tests.support import monitoringconfig, slospecs

PROFILE = Profile(Duration(15), Duration(15), 1, "https://docs.test/", "https://boards.test/")
GROUP_WAIT = Duration(30)
RATIO = Query("errors[$window]", ())


def explained(folder: Path, old: str = "", new: str = "", profile: Profile = PROFILE) -> Explanation:
    return explain(slospecs.slo(folder, old, new), profile, GROUP_WAIT)


def text(one: Explanation) -> str:
    return " ".join(render(page(one), "text").split())


@pytest.mark.parametrize(
    "module",
    ["document", "paths", "explain.wording", "checks.jsonlines", "checks.kinds"],
)
def test_examples_in_docstrings_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"monitoring.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


class TestTheWorkbook:
    """Chapter 5, at 99.9 % over 30 days."""

    @pytest.mark.parametrize(
        ("alert", "detect_s", "reset_s", "spent"),
        [
            ("page-quick", "51.84", "295.68", "0.02"),
            ("page-slow", "129.6", "1789.2", "0.05"),
            ("ticket-quick", "259.2", "7178.4", "0.1"),
            ("ticket-slow", "259.2", "21578.4", "0.1"),
        ],
    )
    def test_a_total_outage(self, tmp_path: Path, alert: str, detect_s: str, reset_s: str, spent: str) -> None:
        row = explained(tmp_path).detection(alert, Decimal(1))
        assert (row.detect_s, row.reset_s, row.spent) == (Decimal(detect_s), Decimal(reset_s), Decimal(spent))

    def test_the_alerts(self, tmp_path: Path) -> None:
        alerts = {a.name: (a.factor, a.threshold, a.lone_failure_limit) for a in explained(tmp_path).alerts}
        assert alerts == {
            "page-quick": (Decimal("14.4"), Decimal("0.0144"), 69),
            "page-slow": (Decimal(6), Decimal("0.006"), 166),
            "ticket-quick": (Decimal(3), Decimal("0.003"), 333),
            "ticket-slow": (Decimal(1), Decimal("0.001"), 999),
            DIRECT: (Decimal(1), Decimal("0.001"), 999),
        }

    def test_the_budget_in_plain_words(self, tmp_path: Path) -> None:
        told = text(explained(tmp_path))
        assert "0.1 % may be bad." in told
        assert "Of 1,000 events that is 1, of 1,000,000 it is 1,000." in told
        assert "43.2 min of total outage in 30d (43.2 minutes)" in told


class TestWhatDoesNotPage:
    def test_by_burn_rate_and_by_the_direct_alert(self, tmp_path: Path) -> None:
        one = explained(tmp_path)
        assert one.burn_blind is not None
        assert one.burn_blind.above == Decimal("0.1728")
        assert one.burn_blind.above_felt == Decimal("51.84") / (300 - 15 - 15 - 30)
        assert one.burn_blind.never == Decimal("0.006")
        assert (one.blind.above, one.blind.above_alert) == (Decimal("0.001"), DIRECT)

    def test_a_95_percent_objective_pages_a_total_outage_after_43_minutes(self, tmp_path: Path) -> None:
        one = explained(tmp_path, "target: 0.999", "target: 0.95")
        assert one.burn_blind is not None
        assert one.burn_blind.above is None
        assert one.burn_blind.outage_s == Decimal("2592")
        assert one.burn_blind.outage_felt_s is not None
        assert 43 <= one.burn_blind.outage_felt_s / 60 <= Decimal("44.2")
        assert "even a total outage pages only after 43.2 min (page-quick)" in text(one)
        assert "Shares of 5 % or less do not page within 5m; larger ones do (direct)." in text(one)

    def test_without_pages_it_says_so(self, tmp_path: Path) -> None:
        slo = dataclasses.replace(
            slospecs.slo(tmp_path), threshold_window=None, disabled_tiers=frozenset({"page-quick", "page-slow"})
        )
        one = explain(slo, PROFILE, GROUP_WAIT)
        assert "Nothing pages at all: this SLO has no alert of severity page." in text(one)
        assert one.first_page(Decimal(1)) is None

    @given(st.decimals("0.001", "1", places=3), st.decimals("0.9", "0.9999", places=4))
    def test_the_closed_form_is_the_border_of_detection_in_time(self, ratio: Decimal, target: Decimal) -> None:
        factor, window_s, within_s = Decimal("14.4"), 3600, Decimal(300)
        border = burn.detected_above(factor, target, window_s, within_s)
        detect_s = burn.time_to_detect_s(factor, target, window_s, ratio)
        in_time = detect_s is not None and detect_s <= within_s
        assert in_time == (border is not None and ratio >= border)


@given(st.decimals("1", "100", places=1), st.decimals("0.9", "0.9999", places=4))
def test_one_failure_more_or_less_is_the_border_of_a_lone_failure(factor: Decimal, target: Decimal) -> None:
    limit = burn.lone_failure_limit(factor, target)
    threshold = burn.error_threshold(factor, target)
    assert limit == 0 or Decimal(1) / limit > threshold
    assert Decimal(1) / (limit + 1) <= threshold


def test_felt_adds_scrape_evaluation_hold_and_group_wait(tmp_path: Path) -> None:
    one = explained(tmp_path)
    by_name = {name: one.detection(name, Decimal(1)) for name in ("page-quick", "ticket-quick", DIRECT)}
    added = {name: (row.felt_s or 0) - (row.detect_s or 0) for name, row in by_name.items()}
    assert added == {"page-quick": 15 + 15 + 30, "ticket-quick": 15 + 60 + 30, DIRECT: 15 + 15 + 15 + 30}


def test_the_guard_asks_for_traffic(tmp_path: Path) -> None:
    one = explained(tmp_path)
    seen = {(row.alert, row.rate): row.after_s for row in one.seen}
    assert seen["page-quick", "100 a second"] == Decimal("51.84")
    assert seen["page-quick", "1 a minute"] == 180
    assert seen["page-quick", "1 an hour"] is None
    assert seen["page-slow", "1 an hour"] == 3 * 3600
    told = text(one)
    assert "A total outage of 5m shows from 3 events in that time on: 36 an hour." in told
    assert "an alert comes and goes: page-quick below 12 an hour, page-slow below 2 an hour" in told


def test_the_cost_is_what_the_rules_are(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    groups = slo_file(slo, PROFILE).groups
    rules = [rule for group in groups for rule in group.rules]
    cost = explain(slo, PROFILE, GROUP_WAIT).cost
    assert cost.alert_rules == sum(isinstance(rule, Alert) for rule in rules) == 5
    assert cost.series == len(rules) - 5
    assert cost.evaluations_per_hour == sum(3600 // group.interval * len(group.rules) for group in groups)


def test_a_scaled_environment_scales_times_and_nothing_else(tmp_path: Path) -> None:
    fast = Profile(Duration(1), Duration(1), 12, PROFILE.runbook_url, PROFILE.dashboard_url)
    one = explained(tmp_path, profile=fast)
    row = one.detection("page-quick", Decimal(1))
    assert (row.detect_s, row.spent) == (Decimal("51.84") / 12, Decimal("0.02"))
    assert one.blind.within == 25
    assert "divides every window by 12" in text(one)


def test_slices_are_counted_as_slices(tmp_path: Path) -> None:
    one = dataclasses.replace(
        explained(tmp_path),
        slo=dataclasses.replace(slospecs.slo(tmp_path), slices=Slices(Duration(60), Decimal("0.9"))),
        unit="slices of 1m",
        events_per_s=Decimal(1) / 60,
        seen=(),
    )
    told = text(one)
    assert "A slice is bad when less than 90 % of it was good" in told
    assert "Of the 43,200 slices of 30d, 43.2 may be wholly bad." in told
    assert "Time is counted, not traffic: one of the slices of 1m every 60 s." in told
    assert "nothing fires before 180 s" in told


@pytest.mark.parametrize(
    ("sli", "asked"),
    [
        (RatioSli(RATIO), [("error ratio", RATIO.template)]),
        (SampleSli("1 - up", ()), [("how bad this moment is, 0 to 1", "1 - up")]),
        (
            CompositeSli((Part("a", Decimal("2.0"), Decimal("0.9"), RatioSli(RATIO)),)),
            [("a (weight 2): error ratio", RATIO.template)],
        ),
    ],
)
def test_every_kind_of_sli_says_what_it_asks(tmp_path: Path, sli: Sli, asked: list[tuple[str, str]]) -> None:
    assert list(queries(dataclasses.replace(slospecs.slo(tmp_path), sli=sli))) == asked


def test_a_page_reads_the_same_as_text_and_as_markdown() -> None:
    blocks = (
        Heading("Title", 1),
        Paragraph("word " * 30),
        Bullets(("one", "two")),
        Code("up"),
        Table(("a", "b"), (("1 | 2", "x"),)),
    )
    plain, marked = render(blocks, "text"), render(blocks, "markdown")
    assert max(map(len, plain.splitlines())) <= 100
    assert plain.startswith("Title\n=====\n")
    assert "a      b\n-----  -\n1 | 2  x\n" in plain
    assert marked.startswith("# Title\n")
    assert "```promql\nup\n```" in marked
    assert "| a | b |\n|---|---|\n| 1 \\| 2 | x |" in marked


class TestTheCommand:
    def run(self, folder: Path, *arguments: str) -> Result:
        config = monitoringconfig.write(folder)
        return CliRunner().invoke(main, ["explain", "--config", str(config), *arguments])

    def test_all_or_those_that_are_named(self, tmp_path: Path) -> None:
        every, one = self.run(tmp_path), self.run(tmp_path, "checkout")
        assert every.exit_code == one.exit_code == 0
        assert every.output == one.output
        assert one.output.startswith("checkout: 99.9 % over any 30d\n")
        assert 'good: sum(increase(orders_total{outcome="ok"}[$window]))' in one.output

    def test_an_slo_that_is_none_is_refused_with_those_that_are(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "chekout")
        assert done.exit_code == 2
        assert "monitoring.yaml: no SLO 'chekout' among its specs; there is checkout" in done.stderr

    def test_json_is_for_programs(self, tmp_path: Path) -> None:
        (found,) = json.loads(self.run(tmp_path, "--format", "json").output)
        assert found == json.loads(json.dumps(as_data(explained(tmp_path / "specs"))))
        assert found["budget"] == {"share": 0.001, "outage_s": 2592.0}
        total = next(row for row in found["detection"] if row["alert"] == "page-quick" and row["error_ratio"] == 1)
        assert total["detect_s"] == 51.84
        assert next(row for row in found["detection"] if row["error_ratio"] == 0.001)["detect_s"] is None

    def test_markdown(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "--format", "markdown")
        assert "## Detection" in done.output
        assert "| 100 % | page-quick | 51.84 s | 111.84 s | 2 % | 295.68 s |" in done.output
