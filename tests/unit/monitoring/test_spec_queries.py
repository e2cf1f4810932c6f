"""Queries as people write them, and the templates of a window that they become."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring.errors import PromqlError
from monitoring.maths.durations import Duration
from monitoring.spec import queries

COUNTED: list[tuple[str, bool | None, str]] = [
    ("x_total", True, "sum(increase(x_total[$window]))"),
    ('x_total{a="b"}', None, 'sum(increase(x_total{a="b"}[$window]))'),
    ("sum(x_total)", True, "sum(increase(x_total[$window]))"),
    ("sum by (job) (x_total)", True, "sum(sum by (job) (increase(x_total[$window])))"),
    ("sum(a_total) + sum(b_total)", True, "(sum(increase(a_total[$window])) + sum(increase(b_total[$window])))"),
    ("a_count - b_bucket", True, "sum(increase(a_count[$window]) - increase(b_bucket[$window]))"),
    ("sum(a_total) or vector(0)", True, "(sum(increase(a_total[$window])) or vector(0))"),
    ("2 * (a_total / 3)", True, "sum(2 * (increase(a_total[$window]) / 3))"),
    ("clamp_min(sum(a_total), 0)", True, "clamp_min(sum(increase(a_total[$window])), 0)"),
    ("up", False, "sum(sum_over_time(up[$window]))"),
    ("up", None, "sum(sum_over_time(up[$window]))"),
    ("sum(in_flight)", None, "sum(sum_over_time(in_flight[$window]))"),
    ("sum(rate(x_total[5m]))", None, "sum(increase(x_total[$window]))"),
    ("increase(x_total[30d])", True, "sum(increase(x_total[$window]))"),
    ("sum(rate(x_total[{{.window}}]))", None, "sum(increase(x_total[$window]))"),
    ("sum(rate(x_total[ {{ .window }} ]))", None, "sum(increase(x_total[$window]))"),
    ("sum(rate(x_total[$__rate_interval]))", None, "sum(increase(x_total[$window]))"),
    ("sum(rate(x_total[${__range}] offset 5m))", None, "sum(increase(x_total[$window] offset 5m))"),
    (
        "sum_over_time((count(x < 0.75))[{{.window}}:]) OR on() vector(0)",
        None,
        "(sum_over_time((count(x < 0.75))[$window:]) or on () vector(0))",
    ),
    (
        "sum_over_time((max(rate(x_total[2m])) > bool 5)[1h:1m])",
        None,
        "sum_over_time((max(rate(x_total[2m])) > bool 5)[$window:1m])",
    ),
    ("count_over_time(x{a='[5m] # \"no\"'}[5m]) # it's so", None, 'count_over_time(x{a="[5m] # \\"no\\""}[$window])'),
    (
        'sum(rate(x_total{code=~"5.."}[{{.window}}])) + sum(rate(x_total{slow="yes",code!~"5.."}[{{.window}}]))',
        None,
        '(sum(increase(x_total{code=~"5.."}[$window])) + sum(increase(x_total{code!~"5..",slow="yes"}[$window])))',
    ),
]


@pytest.mark.parametrize(("text", "counter", "template"), COUNTED)
def test_events_are_counted(text: str, counter: bool | None, template: str) -> None:
    remarks: list[str] = []
    query = queries.events(queries.read(text), counter, remarks.append, remarks.append)
    expected = template if template.startswith(("sum", "(sum", "clamp")) else f"sum({template})"
    assert query.template == expected
    assert remarks == []
    assert query.selectors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("avg(x_total)", "avg(x_total) cannot be counted over a window by adding increase"),
        ("x_total / y_total", "x_total / y_total cannot be counted"),
        ("x_total > 5", "cannot be counted"),
        ("x_total + 5", "5 cannot be counted"),
        ("x_total offset 5m", "an offset needs a range"),
        ("x_total @ 5", "a fixed time"),
        ("sum_over_time(x[5m] @ end())", "a fixed time"),
        ("irate(x_total[5m])", "irate looks at two samples only"),
        ("x_total[5m]", "this one gives a range of values"),
        ("3", "this one gives a number"),
        ('"x"', "this one gives a text"),
        ("vector(1)", "reads no metric"),
        ('{job="x"}', "expected the name of one metric"),
        ('x{a="b" or c="d"}', "'or' between matchers"),
        ('rate(x_total{w="{{.window}}"}[{{.window}}])', "a placeholder may only stand for a range"),
        ("sum(rate(x_total[{{.window}}])", "in: sum(rate(x_total[$window])"),
        ("mad_over_time(x[5m])", "not known to Prometheus 2.42"),
        ("a_total + fill(0) b_total", "fill is not known to Prometheus 2.42"),
        ('x_total{"a.b"="c"}', "'a.b' is no label's name for Prometheus 2.42"),
        ('{"x.y_total"}', "expected the name of one metric"),
        ("limitk(2, x_total)", "not known to Prometheus 2.42"),
        ("sum:trace.hits{*}.as_count()", "in: sum:trace.hits"),
        ("x" * 30_000, "more than 20000 characters"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(PromqlError) as refused:
        queries.events(queries.read(text), True, list[str]().append, list[str]().append)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "counter", "words"),
    [
        ("rate(sum(x_total)[5m:])", None, "rate of a sum misses the resets"),
        ("sum(rate(a_total[5m])) - sum(rate(b_total[1h]))", None, "the ranges 1h, 5m all stand for one window"),
        ("sum(rate(a_total[5m])) > 3", None, "no number of events"),
        ("x_total", False, "whose samples mean nothing when added up"),
        ("sum_over_time(sum(rate(x_total[{{.window}}]))[1h:])", None, "does not change with it"),
    ],
)
def test_what_is_doubtful_is_told(text: str, counter: bool | None, words: str) -> None:
    doubts: list[str] = []
    queries.events(queries.read(text), counter, doubts.append, doubts.append)
    assert any(words in doubt for doubt in doubts), doubts


def test_a_counter_without_a_counters_name_is_only_worth_a_warning() -> None:
    doubts: list[str] = []
    warnings: list[str] = []
    query = queries.events(queries.read("sum(http_requests)"), True, doubts.append, warnings.append)
    assert query.template == "sum(increase(http_requests[$window]))"
    assert doubts == []
    assert "http_requests: no counter by its name" in warnings[0]


def test_a_ratio_keeps_its_rates_and_is_averaged_when_it_has_several_series() -> None:
    remarks: list[str] = []
    read = queries.read("sum(rate(a_total[5m])) / sum(rate(b_total[5m]))")
    good = queries.ratio(read, True, remarks.append, remarks.append)
    assert good.template == "1 - (sum(rate(a_total[$window])) / sum(rate(b_total[$window])))"
    assert remarks == []
    several = queries.ratio(queries.read("avg_over_time(r[5m])"), False, remarks.append, remarks.append)
    assert several.template == "avg(avg_over_time(r[$window]))"
    assert "the plain mean" in remarks[0]


def test_prometheus_takes_every_query_that_is_made(tmp_path: Path) -> None:
    made = [
        queries.events(queries.read(text), counter, list[str]().append, list[str]().append).over(Duration(300))
        for text, counter, _ in COUNTED
    ]
    rules = [{"record": f"made:{i}", "expr": expr} for i, expr in enumerate(made)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "made", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert f"{len(rules)} rules found" in done.stdout, done.stderr
