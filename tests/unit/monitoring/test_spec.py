"""Reading SLO specs: what is right comes out exact, what is wrong is told with its line."""

from __future__ import annotations

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.errors import SpecError
from monitoring.spec.model import EventSli
from monitoring.spec.reader import load
from tests.support import slospecs


def refusals(path: Path) -> list[str]:
    with pytest.raises(SpecError) as refused:
        load([path])
    return [str(mistake) for mistake in refused.value.mistakes]


def test_a_spec_is_read_exactly(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    assert slo.target == Decimal("0.999")
    assert str(slo.target) == "0.999"
    assert slo.period == 30 * 86400
    assert slo.threshold_window == 120
    assert slo.min_bad_events == 3
    assert slo.runbook == "checkout"
    assert isinstance(slo.sli, EventSli)
    assert slo.sli.good is not None
    assert slo.sli.good.template == 'sum(increase(orders_total{outcome="ok"}[$window]))'
    assert slo.service.display_name == "shop"


def test_a_target_is_never_a_float(tmp_path: Path) -> None:
    """0.9999999999999999999 would be 1.0 as a float, a budget of nothing."""
    slo = slospecs.slo(tmp_path, "0.999", "0.9999999999999999999")
    assert 1 - slo.target == Decimal("1e-19")


def test_folders_are_read_and_services_may_stand_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yml").write_text(slospecs.SLO)
    (tmp_path / "deep" / "b.yaml").write_text(slospecs.SERVICE)
    (tmp_path / "notes.txt").write_text("not: [a spec")
    assert [slo.name for slo in load([tmp_path])] == ["checkout"]


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        (
            "apiVersion: openslo/v1",
            "apiVersion: openslo/v1beta1",
            "apiVersion",
            "or version: prometheus/v1, found 'openslo/v1beta1'",
        ),
        ("openslo/v1", "openslo.com/v2alpha", "apiVersion", "is a draft that still changes; expected openslo/v1"),
        ("kind: SLO", "kind: SLA", "kind:", "unknown or unsupported kind of openslo/v1 'SLA'; did you mean 'SLO'?"),
        (
            "name: checkout\n  displayName",
            "name: Check_out\n  displayName",
            "name: Check_out",
            "expected at most 63 of a-z",
        ),
        (
            "  description: Orders",
            "  descripton: Orders",
            "descripton",
            "spec: unknown or unsupported field 'descripton'",
        ),
        ("service: shop", "service: shpo", "service: shpo", "no Service 'shpo' among the specs; there is shop"),
        ("counter: true", "counter: maybe", "counter", "ratioMetric.counter: expected true or false, found 'maybe'"),
        ("query: orders_total\n", "query: irate(orders_total[5m])\n", "query: irate", "irate looks at two samples"),
        ("query: orders_total\n", "query: avg(orders_total)\n", "query: avg", "cannot be counted over a window"),
        ("        good:", "        bod:", "bod:", "unknown or unsupported field 'bod'"),
        ("duration: 30d", "duration: 1y", "duration: 1y", "timeWindow[0].duration: '1y' is no duration"),
        ("isRolling: true", "isRolling: false", "- duration: 30d", "timeWindow[0]: expected a calendar"),
        (
            "budgetingMethod: Occurrences",
            "budgetingMethod: Timeslices",
            "- target: 0.999",
            "objectives[0]: the field 'timeSliceWindow' is missing",
        ),
        ("target: 0.999", "target: 1", "target", "objectives[0].target: a target lies strictly between 0 and 1"),
        ("target: 0.999", "target: 99.9", "target", "not at 99.9; in percent it is written targetPercent: 99.9"),
        ("target: 0.999", "target: 0", "target", "a target lies strictly between 0 and 1"),
        ("target: 0.999", 'target: "0.999"', "target", "expected a number, found '0.999'"),
        ("target: 0.999", "target: .nan", "target", "no plain decimal number"),
        ("target: 0.999", "target: 1:30.5", "target", "no plain decimal number"),
        (
            "- target: 0.999",
            "- target: 0.999\n      targetPercent: 99.9",
            "- target: 0.999",
            "expected exactly one of target and targetPercent",
        ),
        ("  objectives:\n    - target: 0.999\n", "", "description: Orders", "spec: the field 'objectives' is missing"),
        ("window: 2m", "window: soon", "soon", "'soon' is no duration"),
        ("window: 2m", "windos: 2m", "windos", "did you mean 'monitoring/threshold-window'?"),
        ("threshold-window: 2m", "min-bad-events: 0", "min-bad", "at least 1, found '0'"),
        ("threshold-window: 2m", "disabled-tiers: page-fast", "page-fast", "no tier is named page-fast"),
        ("threshold-window: 2m", "quorum: a-place", "quorum", "expected the name of a label, found 'a-place'"),
        (
            "counter: true",
            "counter: true\n        counter: no",
            "counter: no",
            "the key 'counter' stands here twice, first in line 17",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    path = slospecs.write(tmp_path, slospecs.changed(old, new), slospecs.SERVICE)
    found = refusals(path)
    assert any(words in message for message in found), found
    lines = {int(message.split(":")[1]) for message in found if words in message}
    assert lines == {slospecs.line_of(path, at)}, found


def test_all_mistakes_of_all_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        slospecs.changed("target: 0.999", "target: 2").replace("counter: true", "counter: no")
    )
    (tmp_path / "b.yaml").write_text("kind: [unclosed")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    found = refusals(tmp_path)
    assert {Path(message.split(":")[0]).name for message in found} == {"a.yaml", "b.yaml", "c.yaml"}
    assert len(found) >= 4


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in children for deeper in paths(child, (*path, key)))]


DOCUMENT = yaml.safe_load(slospecs.SLO)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([path for path in paths(DOCUMENT) if path]), anything)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_nonsense_anywhere_is_refused_with_a_line_and_never_crashes(
    tmp_path: Path, path: tuple[str | int, ...], value: object
) -> None:
    document = copy.deepcopy(DOCUMENT)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    file = slospecs.write(tmp_path, yaml.safe_dump(document), slospecs.SERVICE)
    try:
        load([file])
    except SpecError as refused:
        assert all(m.line and 1 <= m.line <= file.read_text().count("\n") + 1 for m in refused.mistakes)


def test_a_quorum_needs_counters_whose_observers_can_be_told_apart(tmp_path: Path) -> None:
    quorum = slospecs.changed("monitoring/threshold-window: 2m", "monitoring/quorum: instance")
    (slo,) = load([slospecs.write(tmp_path, quorum, slospecs.SERVICE)])
    assert slo.quorum == "instance"
    summed = quorum.replace("query: orders_total\n", "query: orders_total + returns_total\n")
    (found,) = refusals(slospecs.write(tmp_path, summed, slospecs.SERVICE))
    assert "monitoring/quorum needs one counter of good and one of all events" in found


def test_good_and_bad_together_are_refused(tmp_path: Path) -> None:
    both = slospecs.changed(
        "        total:",
        "        bad:\n          metricSource: {type: Prometheus, spec: {query: e_total}}\n        total:",
    )
    assert any("exactly one of good and bad" in m for m in refusals(slospecs.write(tmp_path, both, slospecs.SERVICE)))


def test_a_second_slo_of_the_same_name_is_refused_and_names_the_first(tmp_path: Path) -> None:
    path = slospecs.write(tmp_path, slospecs.SLO, slospecs.SERVICE, slospecs.SLO)
    (message,) = refusals(path)
    assert "SLO 'checkout' exists already, in" in message


def test_an_alias_that_contains_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text("kind: SLO\napiVersion: &a [*a]\n")
    assert any("contains itself" in message for message in refusals(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusals(tmp_path / "gone.yaml") == [f"{tmp_path / 'gone.yaml'}:1: no such file or directory"]
