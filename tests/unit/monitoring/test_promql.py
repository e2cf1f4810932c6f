"""Reading PromQL: what a plain selector is, and which metrics are read how."""

from __future__ import annotations

import pytest

from monitoring.errors import PromqlError
from monitoring.promql import is_counter, parse, plain_selector, uses


@pytest.mark.parametrize(
    "text",
    [
        "http_requests_total",
        'http_requests_total{code=~"5..",path!="/}",x!~"a|b"}',
        'latency_seconds_bucket{le="0.25",quote="a\\"b"}',
    ],
)
def test_a_plain_selector_survives_being_read_and_written(text: str) -> None:
    selector = plain_selector(parse(text))
    assert str(selector) == text
    assert plain_selector(parse(str(selector))) == selector


@pytest.mark.parametrize(
    "text", ["rate(x_total[5m])", "x_total offset 5m", "x_total @ 5", "x_total[5m]", "x_total + 1", '{job="x"}']
)
def test_anything_else_is_no_plain_selector(text: str) -> None:
    assert plain_selector(parse(text)) is None


def test_counters_are_known_by_their_names() -> None:
    assert [is_counter(name) for name in ("x_total", "x_count", "x_bucket", "x_sum", "temperature_celsius")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("text", ["(" * 9000 + "a" + ")" * 9000, "a" + "+a" * 9000, "-" * 9000 + "a"])
def test_an_endless_expression_is_refused_before_the_parser_dies_of_it(text: str) -> None:
    with pytest.raises(PromqlError, match="brackets and operators inside each other"):
        parse(text)


def test_operators_in_quotes_are_not_counted() -> None:
    assert plain_selector(parse('x{a=~"' + "-" * 500 + '"}'))


def test_uses_know_the_range_function_and_the_labels_around_each_metric() -> None:
    found = uses('sum by (a) (rate(x_total{b="c"}[5m])) / on (d) abs(y) or max_over_time(z[1h:1m]) > -w')
    assert [(u.selector.name, u.function, sorted(u.by)) for u in found] == [
        ("x_total", "rate", ["a"]),
        ("y", None, []),
        ("z", None, []),
        ("w", None, []),
    ]
    assert found[0].selector.value_of("b") == "c"


def test_a_parse_error_shows_the_expression() -> None:
    with pytest.raises(PromqlError, match=r"rate\(x_total\)"):
        parse("rate(x_total)")
