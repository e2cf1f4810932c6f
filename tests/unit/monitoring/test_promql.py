"""Reading PromQL: what counts as a plain counter selector, and which metrics are read how."""

from __future__ import annotations

import pytest

from monitoring.errors import PromqlError
from monitoring.promql import counter_selector, parse, uses


@pytest.mark.parametrize(
    "text",
    [
        "http_requests_total",
        'http_requests_total{code=~"5..",path!="/}",x!~"a|b"}',
        'latency_seconds_bucket{le="0.25",quote="a\\"b"}',
    ],
)
def test_a_counter_selector_survives_being_read_and_written(text: str) -> None:
    selector = counter_selector(text)
    assert str(selector) == text
    assert counter_selector(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate(x_total[5m])", "plain selector"),
        ("x_total offset 5m", "plain selector"),
        ("x_total @ 5", "plain selector"),
        ("x_total[5m]", "plain selector"),
        ("x_total + 1", "plain selector"),
        ('{job="x"}', "plain selector"),
        ("temperature_celsius", "no counter by its name"),
        ("x_total{", "unexpected"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(PromqlError, match=words):
        counter_selector(text)


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
