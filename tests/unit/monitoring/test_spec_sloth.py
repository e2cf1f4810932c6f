"""sloth's specs in both spellings, OpenSLO v1alpha, and several formats side by side."""

from __future__ import annotations

import doctest
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.errors import SpecError
from monitoring.maths.durations import Duration
from monitoring.spec import reader, sloth
from monitoring.spec.model import EventSli, RatioSli, SampleSli, Slices
from tests.support import slospecs

SLOTH = """\
version: prometheus/v1
service: My_Service
labels: {owner: me, repo.name: x}
slos:
  - name: availability
    objective: 99.9
    description: Requests are answered.
    labels: {generated: true, le: 0.20}
    sli:
      events:
        error_query: sum(rate(http_total{code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_total[{{.window}}]))
    alerting:
      name: HighErrorRate
      labels: {category: availability}
      annotations: {summary: Errors}
      page_alert:
        labels: {severity: pageteam}
        annotations: {runbook: https://example.com}
      ticket_alert:
        disable: true
"""

CRD = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata:
  name: anything
  namespace: monitoring
spec:
""" + SLOTH.split("\n", 1)[1].replace("error_query", "errorQuery").replace("total_query", "totalQuery").replace(
    "page_alert", "pageAlert"
).replace("ticket_alert", "ticketAlert").replace("\n", "\n  ").rstrip(" ").join(["  ", ""])

WINDOWS = """\
apiVersion: sloth.slok.dev/v1
kind: AlertWindows
spec:
  sloPeriod: 7d
  page:
    quick: {errorBudgetPercent: 8, shortWindow: 5m, longWindow: 1h}
    slow: {errorBudgetPercent: 12.5, shortWindow: 30m, longWindow: 6h}
  ticket:
    quick: {errorBudgetPercent: 20, shortWindow: 2h, longWindow: 1d}
    slow: {errorBudgetPercent: 42, shortWindow: 6h, longWindow: 3d}
"""

ALPHA = """\
apiVersion: openslo/v1alpha
kind: SLO
metadata:
  name: requests
spec:
  service: shop
  budgetingMethod: Occurrences
  objectives:
    - ratioMetrics:
        good: {source: prometheus, queryType: promql, query: 'sum(rate(x_total{code!~"5.."}[{{.window}}]))'}
        total: {source: prometheus, queryType: promql, query: 'sum(rate(x_total[{{.window}}]))'}
      target: 0.99
  timeWindows:
    - count: 30
      unit: Day
"""


def read(folder: Path, *documents: str, strict: bool = True) -> reader.Specs:
    return reader.read([slospecs.write(folder, *documents)], strict)


def refusals(folder: Path, *documents: str, strict: bool = True) -> list[str]:
    with pytest.raises(SpecError) as refused:
        read(folder, *documents, strict=strict)
    return [str(mistake).removeprefix(f"{folder}/spec.yaml:") for mistake in refused.value.mistakes]


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(sloth) == (0, 1)


@pytest.mark.parametrize("text", [SLOTH, CRD])
def test_a_spec_of_sloth_in_either_spelling(tmp_path: Path, text: str) -> None:
    (slo,) = read(tmp_path, text).slos
    assert (slo.name, slo.service.name, str(slo.target), str(slo.period)) == (
        "my-service-availability",
        "My_Service",
        "0.999",
        "30d",
    )
    assert isinstance(slo.sli, EventSli)
    assert slo.sli.bad is not None
    assert slo.sli.bad.template == 'sum(increase(http_total{code=~"5.."}[$window]))'
    assert slo.sli.total.template == "sum(increase(http_total[$window]))"
    assert slo.labels == {"owner": "me", "repo_name": "x", "generated": "true", "le": "0.20"}
    assert slo.disabled_tiers == {"ticket-quick", "ticket-slow"}
    assert slo.conditions is None
    assert (slo.texts.name, slo.texts.labels, slo.texts.annotations) == (
        "HighErrorRate",
        {"category": "availability"},
        {"summary": "Errors"},
    )
    assert slo.texts.page_labels == {"severity": "pageteam"}
    assert slo.texts.page_annotations == {"runbook": "https://example.com"}


def test_a_raw_ratio_of_sloth(tmp_path: Path) -> None:
    events = SLOTH[SLOTH.index("      events:") : SLOTH.index("    alerting:")]
    query = "1 - sum(sum_over_time(r[{{.window}}])) / sum(count_over_time(r[{{.window}}]))"
    (slo,) = read(tmp_path, SLOTH.replace(events, f"      raw: {{error_ratio_query: '{query}'}}\n")).slos
    assert isinstance(slo.sli, RatioSli)
    assert slo.sli.error.template == query.replace("{{.window}}", "$window")


def test_windows_beside_specs_of_sloth_give_their_period_and_alerts(tmp_path: Path) -> None:
    (slo,) = read(tmp_path, SLOTH, WINDOWS).slos
    assert str(slo.period) == "7d"
    assert [(c.name, c.severity, c.factor, str(c.long), str(c.short)) for c in slo.conditions or ()] == [
        ("page-quick", "page", Decimal("13.44"), "1h", "5m"),
        ("page-slow", "page", Decimal("3.5"), "6h", "30m"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("prometheus/v1", "prometheus/v2", "version", "version: expected prometheus/v1, found 'prometheus/v2'"),
        ("objective: 99.9", "objective: 100", "objective: 100", "slos[0].objective: a target lies strictly between"),
        ("objective: 99.9", "objective: 0", "objective: 0", "strictly between 0 and 100 percent, not at 0"),
        ("      events:\n", "      raw: {error_ratio_query: r}\n      events:\n", "sli:", "found events and raw"),
        ("[{{.window}}]))\n        total", "[5m]))\n        total", "error_query", "expected {{.window}} in place"),
        ("sum(rate(http_total[{{", "sumo(rate(http_total[{{", "total_query", "unknown function with name 'sumo'"),
        ("alerting:", "alertin:", "alertin", "did you mean 'alerting'?"),
        ("category: av", "cate-gory: av", "cate-gory", "'cate-gory' is no name for a label"),
        ("name: availability", "name: '---'", "name: '---'", None),
    ],
)
def test_what_is_wrong_with_a_spec_of_sloth_is_told(
    tmp_path: Path, old: str, new: str, at: str, words: str | None
) -> None:
    assert old in SLOTH
    text = SLOTH.replace(old, new)
    if words is None:
        assert read(tmp_path, text).slos[0].name == "my-service"
        return
    found = refusals(tmp_path, text)
    assert any(words in message for message in found), found
    lines = {int(message.split(":")[0]) for message in found if words in message}
    expected = {n for n, line in enumerate(text.splitlines(), 1) if at in line or at.split(":")[0] in line}
    assert lines <= expected or at == "sli:", found


def test_a_spec_that_needs_a_plugin_is_refused_and_leniently_left_out(tmp_path: Path) -> None:
    events = SLOTH[SLOTH.index("      events:") : SLOTH.index("    alerting:")]
    plugin = SLOTH.replace(events, "      plugin:\n        id: availability\n")
    (message,) = refusals(tmp_path, plugin)
    assert message.startswith("11: slos[0].sli.plugin: SLI plugins are Go programs of sloth")
    specs = read(tmp_path, plugin, strict=False)
    assert specs.slos == ()
    assert specs.warnings[0].line == 11


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("shortWindow: 5m", "shortWindow: 1h", "page.quick.shortWindow: expected less than the long window of 1h"),
        ("errorBudgetPercent: 8", "errorBudgetPercent: 800", "page.quick: a share of the budget lies in (0, 1]"),
        ("longWindow: 3d", "longWindow: 8d", "ticket.slow: a window of 691200 s does not fit"),
        ("sloPeriod: 7d", "sloPeriod: x", "spec.sloPeriod: 'x' is no duration"),
    ],
)
def test_windows_that_make_no_sense_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    found = refusals(tmp_path, WINDOWS.replace(old, new))
    assert any(words in message for message in found), found


def test_only_one_object_can_rule_the_windows(tmp_path: Path) -> None:
    assert "only one AlertWindows object can be in force" in refusals(tmp_path, WINDOWS, WINDOWS)[0]


def test_v1alpha_counts_its_window_in_units(tmp_path: Path) -> None:
    (slo,) = read(tmp_path, ALPHA).slos
    assert (slo.name, str(slo.period), str(slo.target)) == ("requests", "30d", "0.99")
    assert isinstance(slo.sli, EventSli)
    assert slo.sli.good is not None
    assert slo.sli.good.template == 'sum(increase(x_total{code!~"5.."}[$window]))'


def test_v1alpha_leniently_has_slices_of_a_minute(tmp_path: Path) -> None:
    text = ALPHA.replace("Occurrences", "Timeslices").replace(
        "target: 0.99", "target: 0.99\n      timeSliceTarget: 0.9"
    )
    assert read(tmp_path, text, strict=False).slos[0].slices == Slices(Duration(60), Decimal("0.9"))


def test_v1alpha_has_thresholds_and_calendars(tmp_path: Path) -> None:
    ratio = ALPHA[ALPHA.index("    - ratioMetrics") : ALPHA.index("      target")]
    text = ALPHA.replace(ratio + "      target", "    - op: gt\n      value: 20\n      target").replace(
        "    - count: 30\n      unit: Day\n",
        "    - {count: 1, unit: Month, isRolling: false, calendar: {startTime: 2021-05-01 00:00:00, timeZone: UTC}}\n",
    )
    text += "  indicator:\n    thresholdMetric: {source: prometheus, queryType: promql, query: free}\n"
    (slo,) = read(tmp_path, text).slos
    assert slo.sli == SampleSli("avg(free <= bool 20)", slo.selectors)
    assert slo.calendar is not None
    assert slo.calendar.unit == "month"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Method: Occurrences", "Method: Timeslices", "v1alpha has no field"),
        ("target: 0.99", "target: 1", "strictly between 0 and 1"),
        ("unit: Day", "unit: Fortnight", "expected Second or Day or Week or Month or Quarter, found 'Fortnight'"),
        ("count: 30", "count: 0", "'0d' is no duration"),
        ("    - count: 30\n      unit: Day\n", "    []\n", "exactly one time window, found 0"),
        (
            "source: prometheus, queryType: promql, query: 'sum(",
            "source: sql, query: 'SELECT sum(",
            "no PromQL, the only language",
        ),
        ("query: 'sum(", "query: 'sumo(", "unknown function with name 'sumo'"),
        ("kind: SLO", "kind: SLI", "known here: SLO, Service"),
    ],
)
def test_what_is_wrong_with_v1alpha_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ALPHA
    found = refusals(tmp_path, ALPHA.replace(old, new))
    assert any(words in message for message in found), found


def test_formats_may_be_mixed_and_ids_are_unique_across_them(tmp_path: Path) -> None:
    specs = read(tmp_path, slospecs.SLO, slospecs.SERVICE, ALPHA, SLOTH)
    assert [slo.name for slo in specs.slos] == ["checkout", "my-service-availability", "requests"]
    assert [service.name for service in specs.services] == ["My_Service", "shop"]
    clash = ALPHA.replace("name: requests", "name: my-service-availability")
    (message,) = refusals(tmp_path, clash, SLOTH)
    assert "an SLO with the id 'my-service-availability' exists already" in message
