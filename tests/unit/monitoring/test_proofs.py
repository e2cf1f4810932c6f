"""How proofs are planned: made-up series, scales, values as promtool writes them; and what cannot be proven says so."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from monitoring.errors import OpaqueError, PromqlError
from monitoring.maths.durations import Duration
from monitoring.promql import uses
from monitoring.proofs.examples import examples
from monitoring.proofs.plan import proof_files, proofs
from monitoring.proofs.scale import scales
from monitoring.proofs.stimulus import Phase, find
from monitoring.proofs.values import counter, notation
from monitoring.rules.profile import Profile
from monitoring.spec.extensions import TIER_NAMES
from monitoring.spec.model import WINDOW, CompositeSli, EventSli, Part, Query, RatioSli, SampleSli, Sli, Slo
from tests.support import slospecs
from tests.support.repository import ROOT

PROFILE = Profile(Duration(15), Duration(15), 1, "https://runbooks.test/", "https://boards.test/")


@pytest.fixture
def slo(tmp_path: Path) -> Slo:
    return slospecs.slo(tmp_path)


def query(template: str) -> Query:
    return Query(template, tuple(use.selector for use in uses(template.replace(WINDOW, "5m"))))


def events(total: str, good: str | None = None, bad: str | None = None) -> EventSli:
    def summed(selector: str) -> Query:
        return query(f"sum(increase({selector}[{WINDOW}]))")

    return EventSli(summed(total), good and summed(good), bad and summed(bad))  # type: ignore[arg-type]


def found(slo: Slo, sli: Sli) -> tuple[set[str], set[str]]:
    stimulus = find(replace(slo, sli=sli))
    return {str(one) for one in stimulus.good}, {str(one) for one in stimulus.bad}


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("5..|429", ("5xx", "429")),
        ("(GET|POST)", ("GET", "POST")),
        ("/api/v[12]/.*", ("/api/v1/x",)),
        (".+", ("x",)),
        ("", ("",)),
        (r"\d{3}", ("111",)),
        (r"[^\w]", ("-",)),
        ("a?b*c+", ("abc",)),
        ("(?i:get)", ("get",)),
        ("^ok$", ("ok",)),
        (r"\x07", ()),
    ],
)
def test_examples_match_their_expression_and_are_always_the_same(pattern: str, values: tuple[str, ...]) -> None:
    assert examples(pattern) == values


def test_an_expression_that_python_reads_differently_is_refused() -> None:
    with pytest.raises(PromqlError, match="alpha"):
        examples("[[:alpha:]]+")


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (counter([(60, 20), (2, 0)]), "0+20x60 1200x1"),
        ([5.0, 4.0, 3.0], "5-1x2"),
        ([None, None, 1.0, math.nan, 2.5], "_x2 1 stale 2.5"),
        ([0.1, 0.2, 0.3], "0.1+0.1x1 0.3"),
    ],
)
def test_values_are_written_in_runs(values: list[float | None], written: str) -> None:
    assert notation(values) == written


class TestMadeUpSeries:
    """Good and bad events are found by asking what each series does to the SLI."""

    def test_bad_is_a_label_of_total(self, slo: Slo) -> None:
        sli = events('http_requests_total{job="shop"}', bad='http_requests_total{job="shop",code=~"5..|429"}')
        good, bad = found(slo, sli)
        assert good == {'http_requests_total{code="other",job="shop"}'}
        assert bad == {'http_requests_total{code="5xx",job="shop"}'}

    def test_good_is_told_by_what_it_is_not(self, slo: Slo) -> None:
        good, bad = found(slo, events("rpc_total", good='rpc_total{code!~"Unknown|Internal",method!=""}'))
        assert good == {'rpc_total{code="other",method="other"}'}
        assert bad == {'rpc_total{code="Unknown"}'}

    def test_good_and_total_are_two_metrics(self, slo: Slo) -> None:
        good, bad = found(slo, events("seconds_count", good='seconds_bucket{le="0.25"}'))
        assert good == {"seconds_count", 'seconds_bucket{le="0.25"}'}
        assert bad == {"seconds_count"}

    def test_a_sum_of_two_metrics_is_nothing_while_one_is_missing(self, slo: Slo) -> None:
        total = query(f"sum(increase(http_total[{WINDOW}])) + sum(increase(ws_total[{WINDOW}]))")
        failed = query(f'sum(increase(ws_total{{ok="no"}}[{WINDOW}]))')
        stimulus = find(replace(slo, sli=EventSli(total, bad=failed)))
        assert {str(one) for one in stimulus.series} == {"http_total", 'ws_total{ok="no"}'}

    def test_a_ratio(self, slo: Slo) -> None:
        ratio = query(f'sum(rate(http_total{{code=~"5.."}}[{WINDOW}])) / sum(rate(http_total[{WINDOW}]))')
        assert found(slo, RatioSli(ratio)) == ({'http_total{code="other"}'}, {'http_total{code="5xx"}'})

    def test_a_gauge(self, slo: Slo) -> None:
        expr = '1 - min(up{job="shop"})'
        stimulus = find(replace(slo, sli=SampleSli(expr, query(expr).selectors)))
        assert stimulus.levels
        traffic = stimulus.traffic([Phase(4, 50, 50), Phase(1, 0, 0), Phase(1, 0, 9)])
        assert {str(one): values for one, values in traffic.items()} == {
            'up{job="shop"}': [1.0, 1.0, 0.0, 1.0, 0.0, None, 0.0]
        }

    def test_the_parts_of_a_composite_go_bad_together(self, slo: Slo) -> None:
        parts = tuple(
            Part(name, Decimal(1), Decimal("0.9"), events(f"{name}_total", bad=f'{name}_total{{ok="no"}}'))
            for name in ("a", "b")
        )
        good, bad = found(slo, CompositeSli(parts))
        assert bad == {'a_total{ok="no"}', 'b_total{ok="no"}'}
        assert good == {'a_total{ok="other"}', 'b_total{ok="other"}'}

    @pytest.mark.parametrize(
        ("expr", "reason"),
        [
            (f"histogram_quantile(0.9, sum by (le) (rate(x_bucket[{WINDOW}])))", "histogram_quantile"),
            (f"sum(rate(x_total[{WINDOW}]))", "no series were found"),
            (f'sum(rate(x_total{{a=~"[[:alpha:]]"}}[{WINDOW}]))', "regular expression"),
        ],
    )
    def test_what_cannot_be_proven_is_told_with_the_reason(self, slo: Slo, expr: str, reason: str) -> None:
        opaque = replace(slo, sli=RatioSli(query(expr)))
        with pytest.raises(OpaqueError, match=reason):
            proofs(opaque, PROFILE)
        (name, content), *others = proof_files(opaque, PROFILE).items()
        assert (name, others) == ("slo-checkout.unprovable.txt", [])
        assert reason in content.decode()


class TestScales:
    """Windows become as short as four scrapes allow."""

    def test_hours_and_days_have_a_scale_each(self, slo: Slo) -> None:
        hours, days = scales(slo, PROFILE)
        assert (hours.name, hours.profile.divisor, hours.every) == ("hours", 30, 3)
        assert (days.name, days.profile.divisor, days.every) == ("days", 75, 15)
        assert hours.slo.disabled_tiers == {"ticket-quick", "ticket-slow"}
        assert (days.slo.disabled_tiers, days.slo.threshold_window) == ({"page-quick", "page-slow"}, None)
        assert days.profile.window(Duration.parse("5m")) == 4

    def test_at_full_size_windows_stay_and_scrapes_are_rare(self, slo: Slo) -> None:
        hours, days = scales(slo, PROFILE, full=True)
        assert (hours.profile.divisor, hours.profile.scrape_interval) == (1, Duration(30))
        assert (days.profile.divisor, days.profile.scrape_interval) == (1, Duration(60))

    def test_an_slo_without_alerts_and_windows_too_far_apart_are_refused(self, slo: Slo) -> None:
        with pytest.raises(OpaqueError, match="no alert"):
            scales(replace(slo, threshold_window=None, disabled_tiers=frozenset(TIER_NAMES)), PROFILE)
        with pytest.raises(OpaqueError, match="holds no 4 scrapes"):
            scales(replace(slo, threshold_window=Duration(3)), PROFILE)
        with pytest.raises(OpaqueError, match="cannot hold"):
            scales(replace(slo, threshold_window=Duration(8)), PROFILE)


def test_files_are_the_same_every_time_and_name_every_label_of_an_alert(slo: Slo) -> None:
    first, second = proof_files(slo, PROFILE), proof_files(slo, PROFILE)
    assert first == second
    assert sorted(first) == [
        f"slo-checkout.{scale}.{kind}.yml" for scale in ("days", "hours") for kind in ("rules", "test")
    ]
    tests = yaml.safe_load(first["slo-checkout.hours.test.yml"])
    wanted = 'ALERTS{alertstate="firing",slo_id="checkout",service="shop",tier="page-quick",severity="page"}'
    asked = [one for test in tests["tests"] for one in test["promql_expr_test"] if wanted in one["expr"]]
    assert {one["eval_time"] for one in asked}
    assert tests["rule_files"] == ["slo-checkout.hours.rules.yml"]


def test_every_story_is_documented(slo: Slo) -> None:
    page = (ROOT / "docs/proofs.md").read_text()
    two_metrics = replace(slo, sli=events("seconds_count", good='seconds_bucket{le="0.25"}'))
    names = {re.sub(r"^\d+ ", "N ", case.name) for proof in proofs(two_metrics, PROFILE) for case in proof.cases}
    told = set(re.findall(r"`([^`]+)`", page[page.index("## The stories") : page.index("## Scales")]))
    assert names == {name for name in told if " " in name}
