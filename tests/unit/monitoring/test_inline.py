"""Recorded series replaced by their rules' expressions, so that history can be asked about rules that never ran."""

from __future__ import annotations

import dataclasses
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring import promql
from monitoring.backtest.simulate import questions
from monitoring.errors import PromqlError
from monitoring.maths.durations import Duration
from monitoring.prometheus.read import while_scraped
from monitoring.rules import names
from monitoring.rules.build import slo_file
from monitoring.rules.inline import Recorded, inlined, recorded
from monitoring.rules.model import Recording
from monitoring.rules.profile import Profile
from monitoring.spec.model import (
    WINDOW,
    CompositeSli,
    EventSli,
    NoTraffic,
    Part,
    Query,
    RatioSli,
    SampleSli,
    Sli,
    Slices,
)
from monitoring.spec.reader import load
from tests.support import slospecs
from tests.support.binaries import require
from tests.support.repository import SLOS

PROFILE = Profile(Duration(15), Duration(15), 1, "https://r.test/", "https://d.test/")
A = Recorded(Recording("slo:a", "sum(x)", {"slo_id": "one"}), Duration(15))
B = Recorded(Recording("slo:a", "sum(y)", {"slo_id": "two"}), Duration(15))
C = Recorded(Recording("slo:c", 'slo:a{slo_id="one"} / 2', {}), Duration(60))
ONE = '(label_replace(sum(x), "slo_id", "one", "", ""))'


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ('slo:a{slo_id="one"}', ONE),
        ('slo:a{slo_id=~"o.*",slo_id!="two"} > 1', f"{ONE} > 1"),
        ("slo:c * 2", f"({ONE} / 2) * 2"),
        ('max_over_time(slo:a{slo_id="one"}[5m])', f"max_over_time({ONE}[5m:15s])"),
        ('max_over_time(slo:a{slo_id="one"}[5m:1m])', f"max_over_time({ONE}[5m:1m])"),
        ('slo:a{slo_id="three"}', 'slo:a{slo_id="three"}'),
        ('sum(http_requests{path="slo:c"})', 'sum(http_requests{path="slo:c"})'),
        ("sum by (slo_id) (up) # slo:c", "sum by (slo_id) (up) # slo:c"),
        ('slo:a{slo_id="one",\n  service="}{"}', 'slo:a{slo_id="one",\n  service="}{"}'),
        ("my_slo:c + 1", "my_slo:c + 1"),
    ],
)
def test_what_is_recorded_is_replaced_and_nothing_else(expr: str, wanted: str) -> None:
    assert inlined(expr, [A, B, C]) == wanted


@pytest.mark.parametrize(
    "expr", ["slo:a", 'slo:a{slo_id="one"} offset 5m', 'slo:a{slo_id="one"}[5m] offset 1m', "slo:c @ 5"]
)
def test_what_cannot_be_said_is_refused(expr: str) -> None:
    with pytest.raises(PromqlError):
        inlined(expr, [A, B, C])


def test_rules_in_a_circle_are_refused() -> None:
    circle = Recorded(Recording("slo:x", "slo:x + 1"), Duration(15))
    with pytest.raises(PromqlError, match="circle"):
        inlined("slo:x", [circle])


@pytest.mark.parametrize("slo", load([SLOS]), ids=lambda slo: slo.name)
def test_the_alerts_of_every_slo_are_left_with_raw_metrics_only(slo: slospecs.Slo) -> None:
    raw = {selector.name for selector in slo.selectors}
    asked = questions(slo, slo_file(slo, PROFILE).groups, PROFILE, None)
    assert {q.tier for q in asked} >= {"page-quick", "ticket-slow"} - slo.disabled_tiers
    for question in asked:
        assert {use.selector.name for use in promql.uses(question.expr)} == raw


def test_prometheus_itself_reads_them(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    asked = questions(slo, slo_file(slo, PROFILE).groups, PROFILE, None)
    rules = [f"  - alert: A{i}\n    expr: {q.expr!r}\n" for i, q in enumerate(asked)]
    rules = [rule.replace("\\n", " ") for rule in rules]
    (tmp_path / "rules.yml").write_text("groups:\n- name: g\n  rules:\n" + "".join(rules))
    done = subprocess.run(
        [require("promtool"), "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(asked)} rules found" in done.stdout


def test_a_step_is_a_share_of_the_short_window_but_never_finer_than_the_group(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    steps = {q.tier: int(q.step) for q in questions(slo, slo_file(slo, PROFILE).groups, PROFILE, None)}
    assert steps == {"page-quick": 15, "page-slow": 90, "ticket-quick": 360, "ticket-slow": 1080, "threshold": 15}


TOTAL, OK = (Query(f"sum(increase({name}[{WINDOW}]))", (promql.Selector(name),)) for name in ("t_total", "ok_total"))
EVENTS = EventSli(TOTAL, good=OK)
SLIS: dict[str, Sli] = {
    "events": EVENTS,
    "ratio": RatioSli(Query(f"avg(avg_over_time(r[{WINDOW}]))", (promql.Selector("r"),))),
    "samples": SampleSli("1 - avg(g)", (promql.Selector("g"),)),
    "composite": CompositeSli(tuple(Part(name, Decimal(1), Decimal("0.9"), EVENTS) for name in ("a", "b"))),
}


@pytest.mark.parametrize("kind", SLIS)
@pytest.mark.parametrize("slices", [None, Slices(Duration(300)), Slices(Duration(300), Decimal("0.9"))])
@pytest.mark.parametrize("no_traffic", ["ignore", "good", "bad"])
def test_every_kind_of_slo_is_left_with_raw_metrics_only(
    tmp_path: Path, kind: str, slices: Slices | None, no_traffic: NoTraffic
) -> None:
    """Where silence is bad, `up` says whether Prometheus was there to hear it."""
    slo = dataclasses.replace(
        slospecs.slo(tmp_path), sli=SLIS[kind], slices=slices, no_traffic=no_traffic, threshold_window=None
    )
    groups = slo_file(slo, PROFILE).groups
    exprs = [question.expr for question in questions(slo, groups, PROFILE, None)]
    exprs += [
        while_scraped(slo, inlined(names.of(name, slo.name), recorded(groups)), Duration(300))
        for name in (names.SLICE_ERRORS, names.SLICE_EVENTS)
    ]
    assert len(exprs) == 6
    heard = {"up"} if no_traffic == "bad" else set()
    read = [{use.selector.name for use in promql.uses(expr)} for expr in exprs]
    assert set.union(*read) == {selector.name for selector in slo.selectors} | heard
    assert all(heard < one for one in read)
