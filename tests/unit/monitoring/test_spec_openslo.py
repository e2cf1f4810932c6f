"""Every form that OpenSLO v1 has, and what it becomes; every contradiction, and its line."""

from __future__ import annotations

import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from monitoring.errors import SpecError
from monitoring.maths.durations import Duration
from monitoring.spec import reader
from monitoring.spec.model import (
    Calendar,
    CompositeSli,
    EventSli,
    RatioSli,
    SampleSli,
    SimpleSli,
    Slices,
    Slo,
)
from tests.support import slospecs

DAY_S = 86400

RATIO_METRIC = slospecs.SLO[slospecs.SLO.index("      ratioMetric:") : slospecs.SLO.index("  timeWindow:")]


def read(folder: Path, *documents: str, strict: bool = True) -> reader.Specs:
    return reader.read([slospecs.write(folder, *documents)], strict)


def one(folder: Path, *documents: str, strict: bool = True) -> Slo:
    (slo,) = read(folder, *documents, strict=strict).slos
    return slo


def refusals(folder: Path, *documents: str, strict: bool = True) -> list[str]:
    with pytest.raises(SpecError) as refused:
        read(folder, *documents, strict=strict)
    return [str(mistake).removeprefix(f"{folder}/spec.yaml:") for mistake in refused.value.mistakes]


def with_indicator(indicator: str) -> str:
    """The SLO with another indicator."""
    return slospecs.changed(RATIO_METRIC, indicator)


def raw(query: str, kind: str) -> str:
    return with_indicator(
        f"      ratioMetric:\n        rawType: {kind}\n        raw:\n          metricSource:\n"
        f"            type: Prometheus\n            spec:\n              query: {query}\n"
    )


def threshold(query: str, op: str, value: str) -> str:
    text = with_indicator(
        "      thresholdMetric:\n        metricSource:\n          type: Prometheus\n"
        f"          spec:\n            query: {query}\n"
    )
    return text.replace("- target: 0.999", f"- target: 0.999\n      op: {op}\n      value: {value}")


def queries(sli: SimpleSli | CompositeSli) -> tuple[str | None, ...]:
    match sli:
        case EventSli():
            return tuple(query.template if query else None for query in (sli.total, sli.good, sli.bad))
        case RatioSli():
            return (sli.error.template,)
        case SampleSli():
            return (sli.error,)
    raise AssertionError(sli)


# --- indicators


SLI_CASES: list[tuple[str, type[SimpleSli], tuple[str | None, ...]]] = [
    (
        raw("up", "success"),
        EventSli,
        ("sum(count_over_time(up[$window]))", "sum(sum_over_time(up[$window]))", None),
    ),
    (
        raw('probe_failed{job="x"}', "failure"),
        EventSli,
        (
            'sum(count_over_time(probe_failed{job="x"}[$window]))',
            None,
            'sum(sum_over_time(probe_failed{job="x"}[$window]))',
        ),
    ),
    (
        raw("sum(rate(a_total[5m])) / sum(rate(b_total[5m]))", "failure"),
        RatioSli,
        ("sum(rate(a_total[$window])) / sum(rate(b_total[$window]))",),
    ),
    (
        raw("avg(avg_over_time(r[5m]))", "success"),
        RatioSli,
        ("1 - (avg(avg_over_time(r[$window])))",),
    ),
    (raw("a / b", "success"), SampleSli, ("1 - (avg(a / b))",)),
    (raw("sum(a) / sum(b)", "failure"), SampleSli, ("sum(a) / sum(b)",)),
    (threshold("temperature", "lt", "30"), SampleSli, ("avg(temperature >= bool 30)",)),
    (threshold("temperature", "lte", "30"), SampleSli, ("avg(temperature > bool 30)",)),
    (threshold("free_ratio", "gt", "0.10"), SampleSli, ("avg(free_ratio <= bool 0.1)",)),
    (threshold("free_ratio", "gte", "-1"), SampleSli, ("avg(free_ratio < bool -1)",)),
    (
        threshold("max(lag_seconds)", "lt", "5"),
        SampleSli,
        ("avg((max(lag_seconds)) >= bool 5)",),
    ),
    (
        threshold("histogram_quantile(0.99, rate(d_bucket[5m]))", "lte", "0.5"),
        SampleSli,
        ("avg(((histogram_quantile(0.99, rate(d_bucket[5m]))) >= -Inf) > bool 0.5)",),
    ),
    (
        threshold("sum(min_over_time(lag[2m]))", "lt", "5"),
        SampleSli,
        ("avg((sum(min_over_time(lag[2m]))) >= bool 5)",),
    ),
    (
        threshold('d_seconds_bucket{job="x"}', "lte", "0.25"),
        EventSli,
        (
            'sum(increase(d_seconds_bucket{job="x",le="+Inf"}[$window]))',
            'sum(increase(d_seconds_bucket{job="x",le="0.25"}[$window]))',
            None,
        ),
    ),
    (
        threshold("d_seconds_bucket", "gt", "2"),
        EventSli,
        (
            'sum(increase(d_seconds_bucket{le="+Inf"}[$window]))',
            None,
            'sum(increase(d_seconds_bucket{le=~"2|2\\\\.0"}[$window]))',
        ),
    ),
    (
        threshold("d_bytes_bucket", "lt", "2500000"),
        EventSli,
        (
            'sum(increase(d_bytes_bucket{le="+Inf"}[$window]))',
            'sum(increase(d_bytes_bucket{le=~"2500000|2500000\\\\.0|2\\\\.5e\\\\+06"}[$window]))',
            None,
        ),
    ),
]


@pytest.mark.parametrize(("spec", "kind", "expected"), SLI_CASES)
def test_an_indicator_becomes_an_sli(
    tmp_path: Path, spec: str, kind: type[SimpleSli], expected: tuple[str | None, ...]
) -> None:
    slo = one(tmp_path, spec, slospecs.SERVICE)
    assert isinstance(slo.sli, kind)
    assert queries(slo.sli) == expected


@pytest.mark.parametrize(("op", "role"), [("lte", 1), ("gt", 2)])
def test_a_native_histogram_is_declared(tmp_path: Path, op: str, role: int) -> None:
    spec = threshold("d_seconds", op, "0.25").replace(
        "monitoring/threshold-window: 2m", 'monitoring/native-histogram: "true"'
    )
    found = queries(one(tmp_path, spec, slospecs.SERVICE).sli)
    assert found[0] == "sum(histogram_count(increase(d_seconds[$window])))"
    assert found[role] == (
        "sum(histogram_fraction(0, 0.25, increase(d_seconds[$window]))"
        " * histogram_count(increase(d_seconds[$window])) >= 0)"
    )


def test_an_sli_may_declare_its_native_histogram_and_nothing_else_of_ours(tmp_path: Path) -> None:
    spec = threshold("d_seconds", "lt", "0.25").replace(
        "    metadata:\n      name: checkout\n",
        '    metadata:\n      name: checkout\n      annotations: {monitoring/native-histogram: "true"}\n',
    )
    assert isinstance(one(tmp_path, spec).sli, EventSli)
    (message,) = refusals(tmp_path, spec.replace("native-histogram", "runbook"))
    assert "of ours, an SLI may only have monitoring/native-histogram" in message
    (message,) = refusals(tmp_path, spec.replace("query: d_seconds", "query: max(d_seconds)"))
    assert "expected the plain selector of a native histogram" in message


def test_error_or_slow_is_counted_once_by_sums(tmp_path: Path) -> None:
    """Bad: errors, and what did not fit the bucket of successes."""
    spec = slospecs.changed("good:", "bad:").replace(
        'orders_total{outcome="ok"}',
        'sum(d_count{code=~"5.."}) + sum(d_count{code!~"5.."}) - sum(d_bucket{code!~"5..",le="0.25"})',
    )
    assert queries(one(tmp_path, spec, slospecs.SERVICE).sli)[2] == (
        '(sum(increase(d_count{code=~"5.."}[$window])) + sum(increase(d_count{code!~"5.."}[$window]))'
        ' - sum(increase(d_bucket{code!~"5..",le="0.25"}[$window])))'
    )


def test_gauges_of_events_per_scrape_are_added_up(tmp_path: Path) -> None:
    spec = slospecs.changed("counter: true", "counter: false").replace("orders_total", "orders")
    assert queries(one(tmp_path, spec, slospecs.SERVICE).sli) == (
        "sum(sum_over_time(orders[$window]))",
        'sum(sum_over_time(orders{outcome="ok"}[$window]))',
        None,
    )


# --- objects and references

SLI = f"""\
apiVersion: openslo/v1
kind: SLI
metadata:
  name: Great SLI
spec:
{RATIO_METRIC.replace("      ratio", "  ratio").replace("        ", "    ")}"""

SOURCE = """\
apiVersion: openslo/v1
kind: DataSource
metadata:
  name: main
spec:
  type: Prometheus
  connectionDetails:
    - url: http://localhost:9090
"""

POLICY = """\
apiVersion: openslo/v1
kind: AlertPolicy
metadata:
  name: fast
spec:
  alertWhenBreaching: true
  alertWhenNoData: true
  alertWhenResolved:
  conditions:
    - conditionRef: burns
  notificationTargets:
    - targetRef: OnCall
"""

CONDITION = """\
apiVersion: openslo/v1
kind: AlertCondition
metadata:
  name: burns
spec:
  description: It burns.
  severity: sev1
  condition:
    kind: burnrate
    op: gte
    threshold: 14.4
    lookbackWindow: 1h
    alertAfter: 5m
"""

TARGET = """\
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata:
  name: OnCall
spec:
  target: slack
"""

REFERRING = slospecs.SLO.replace(
    slospecs.SLO[slospecs.SLO.index("  indicator:") : slospecs.SLO.index("  timeWindow:")],
    "  indicatorRef: Great SLI\n",
)
ALERTED = slospecs.SLO + "  alertPolicies:\n    - alertPolicyRef: fast\n"


def test_an_indicator_and_its_source_may_stand_elsewhere(tmp_path: Path) -> None:
    sli = SLI.replace("type: Prometheus", "metricSourceRef: main")
    inline, referred = one(tmp_path, slospecs.SLO), one(tmp_path, REFERRING, sli, SOURCE)
    assert referred.sli == inline.sli


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("type: Prometheus", "metricSourceRef: mian", "dangling reference: no DataSource 'mian' among the specs"),
        (
            "type: Prometheus",
            "metricSourceRef: main\n        type: Datadog",
            "'main' is of the type Prometheus, not Dat",
        ),
    ],
)
def test_a_source_that_is_not_what_it_is_said_to_be_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in SLI
    found = refusals(tmp_path, REFERRING, SLI.replace(old, new), SOURCE)
    assert any(words in message for message in found), found


def test_one_document_may_be_a_list_of_objects(tmp_path: Path) -> None:
    objects = [REFERRING, SLI, slospecs.SERVICE]
    listed = "".join("- " + text.replace("\n", "\n  ").rstrip(" ") for text in objects)
    slo = one(tmp_path, listed)
    assert slo.service.name == "shop"
    assert slo.line == 1


def test_a_policy_becomes_conditions(tmp_path: Path) -> None:
    specs = read(tmp_path, ALERTED, POLICY, CONDITION, TARGET)
    (slo,), (target,) = specs.slos, specs.targets
    (condition,) = slo.conditions or ()
    assert (condition.name, condition.severity, condition.description) == ("burns", "sev1", "It burns.")
    assert (condition.factor, condition.long, condition.short, condition.hold) == (Decimal("14.4"), 3600, 300, 300)
    assert condition.notify == slo.notify == ("OnCall",)
    assert (target.name, target.way) == ("OnCall", "slack")
    assert (slo.alert_when_no_data, slo.send_resolved) == (True, False)
    path = tmp_path / "spec.yaml"
    assert condition.line == slospecs.line_of(path, "kind: burnrate")


def test_a_policy_may_be_written_out_whole(tmp_path: Path) -> None:
    slo, policy, condition, target = map(yaml.safe_load, (slospecs.SLO, POLICY, CONDITION, TARGET))
    policy["spec"]["conditions"], policy["spec"]["notificationTargets"] = [condition], [target]
    slo["spec"]["alertPolicies"] = [policy]
    for inline in (policy, condition, target):
        del inline["apiVersion"]
    text = yaml.safe_dump(slo)
    inlined, referred = one(tmp_path, text), one(tmp_path, ALERTED, POLICY, CONDITION, TARGET)
    assert inlined.conditions is not None
    assert referred.conditions is not None
    assert inlined.notify == referred.notify
    assert [(c.name, c.factor, c.long) for c in inlined.conditions] == [
        (c.name, c.factor, c.long) for c in referred.conditions
    ]


def test_a_bare_name_is_a_reference_and_a_condition_may_be_silent(tmp_path: Path) -> None:
    quiet = POLICY.replace("alertWhenBreaching: true", "alertWhenBreaching: false")
    specs = read(tmp_path, slospecs.SLO + "  alertPolicies: [fast]\n", quiet, CONDITION, TARGET)
    assert specs.slos[0].conditions == ()
    assert "the bare name 'fast' is read as a reference" in str(specs.warnings[0])


def test_a_condition_of_two_policies_tells_the_targets_of_both(tmp_path: Path) -> None:
    both = slospecs.SLO + "  alertPolicies: [{alertPolicyRef: fast}, {alertPolicyRef: slow}]\n"
    slow = POLICY.replace("name: fast", "name: slow").replace("targetRef: OnCall", "targetRef: Team")
    team = TARGET.replace("OnCall", "Team")
    (condition,) = one(tmp_path, both, POLICY, slow, CONDITION, TARGET, team).conditions or ()
    assert condition.notify == ("OnCall", "Team")

    whole = CONDITION.split("\n", 1)[1].replace("14.4", "6").replace("\n", "\n      ").rstrip(" ")
    other = slow.replace("- conditionRef: burns\n", f"- {whole}")
    (message,) = refusals(tmp_path, both, POLICY, other, CONDITION, TARGET, team)
    assert "alertPolicies[1]: another condition of this SLO is named 'burns' too, " in message


def test_without_policies_the_four_tiers_alert(tmp_path: Path) -> None:
    assert one(tmp_path, slospecs.SLO + "  alertPolicies:\n").conditions is None


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        (
            "- alertPolicyRef: fast",
            "- alertPolicyRef: fats",
            "fats",
            "no AlertPolicy 'fats' among the specs; there is fa",
        ),
        ("conditionRef: burns", "conditionRef: burn", "burn", "did you mean 'burns'?"),
        ("targetRef: OnCall", "targetRef: OfCall", "OfCall", "no AlertNotificationTarget 'OfCall'"),
        ("- conditionRef: burns", "- conditionRef: burns\n    - conditionRef: b", "- conditionRef: burns", "found 2"),
        ("- conditionRef: burns", "- {}", "- {}", "expected conditionRef, or a condition"),
        ("- targetRef: OnCall", "[]", "[]", "expected at least one target"),
        ("op: gte", "op: lt", "op: lt", "lt would alert while the budget burns slower"),
        ("threshold: 14.4", "threshold: 0", "threshold: 0", "expected a burn rate above 0"),
        ("lookbackWindow: 1h", "lookbackWindow: 1H", "1H", "'1H' is no duration"),
        ("alertAfter: 5m", "alertAfter: soon", "soon", "'soon' is no duration"),
        ("kind: burnrate", "kind: budget", "kind: budget", "expected burnrate, found 'budget'"),
        ("severity: sev1", "severity:", "severity:", "severity: expected text, found nothing"),
    ],
)
def test_what_is_wrong_with_alerts_is_told_where_it_stands(
    tmp_path: Path, old: str, new: str, at: str, words: str
) -> None:
    documents = [ALERTED, POLICY, CONDITION, TARGET]
    assert any(old in text for text in documents)
    found = refusals(tmp_path, *(text.replace(old, new) for text in documents))
    assert any(words in message for message in found), found
    lines = {message.split(":")[0] for message in found if words in message}
    assert lines == {str(slospecs.line_of(tmp_path / "spec.yaml", at))}, found


def test_a_policy_that_nobody_uses_may_refer_to_what_is_not_here(tmp_path: Path) -> None:
    specs = read(tmp_path, POLICY)
    assert specs.slos == ()
    assert "no SLO uses the AlertPolicy 'fast'" in str(specs.warnings[0])


def test_services_may_be_undeclared_but_not_half(tmp_path: Path) -> None:
    assert one(tmp_path, slospecs.changed("service: shop", "service: The Shop")).service.name == "The Shop"
    other = slospecs.changed("service: shop", "service: shoo")
    assert one(tmp_path, other, slospecs.SERVICE, strict=False).service.name == "shoo"
    (message,) = refusals(tmp_path, other, slospecs.SERVICE)
    assert message.startswith(
        "11: spec.service: no Service 'shoo' among the specs; there is shop; did you mean 'shop'?"
    )


def test_two_objects_of_one_kind_and_name_are_refused_with_both_places(tmp_path: Path) -> None:
    (message,) = refusals(tmp_path, REFERRING, SLI, SLI)
    assert "metadata.name: SLI 'Great SLI' exists already, in" in message
    lines = (tmp_path / "spec.yaml").read_text().splitlines()
    assert int(message.split(":")[0]) == max(n for n, line in enumerate(lines, 1) if line == "  name: Great SLI")


# --- names, labels, numbers


def test_a_wider_name_is_made_safe(tmp_path: Path) -> None:
    slo = one(tmp_path, slospecs.changed("name: checkout\n  displayName", "name: shop/eu|1.checkout\n  displayName"))
    assert slo.name == "shop-eu-1.checkout"


def test_two_names_that_come_to_the_same_id_are_refused(tmp_path: Path) -> None:
    names = [slospecs.changed("name: checkout\n  displayName", f"name: {n}\n  displayName") for n in ("a/b", "a|b")]
    (message,) = refusals(tmp_path, *names)
    assert "an SLO with the id 'a-b' exists already, in" in message


def test_labels_become_labels_that_prometheus_takes(tmp_path: Path) -> None:
    labels = (
        "  labels:\n    team.name: a\n    tags: [x, 1.50, true]\n    2nd: 010\n    none:\n    __x: y\n    tier: gold\n"
    )
    specs = read(tmp_path, slospecs.changed("  annotations:", labels + "  annotations:"))
    assert specs.slos[0].labels == {
        "team_name": "a",
        "tags": "x,1.50,true",
        "_2nd": "010",
        "_x": "y",
    }
    assert any("the label tier is one of our own" in str(warning) for warning in specs.warnings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{a.b: x, a_b: y}", "becomes the label a_b, as another one does"),
        ("{a: {b: c}}", "expected text or a list of texts, found a mapping"),
        ("{a: [[b]]}", "expected text or a list of texts"),
    ],
)
def test_labels_that_mean_nothing_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (message,) = refusals(tmp_path, slospecs.changed("  annotations:", f"  labels: {text}\n  annotations:"))
    assert words in message


def test_extensions_are_annotations(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path, "monitoring/threshold-window: 2m", "monitoring/no-traffic: bad")
    assert slo.no_traffic == "bad"
    (message,) = refusals(tmp_path, slospecs.changed("threshold-window: 2m", "no-traffic: maybe"))
    assert message.startswith("8: metadata.annotations.monitoring/no-traffic: expected one of ignore, good, bad")


@pytest.mark.parametrize(("query", "told"), [("temperature", True), ("d_seconds_bucket", False)])
def test_a_policy_for_no_traffic_is_nothing_to_what_judges_moments(tmp_path: Path, query: str, told: bool) -> None:
    spec = threshold(query, "lt", "0.25").replace("monitoring/threshold-window: 2m", "monitoring/no-traffic: bad")
    warnings = [str(warning) for warning in read(tmp_path, spec).warnings]
    assert any("no-traffic has no effect" in warning for warning in warnings) == told


def test_a_target_in_percent_is_exact(tmp_path: Path) -> None:
    assert str(slospecs.slo(tmp_path, "target: 0.999", "targetPercent: 99.95").target) == "0.9995"


# --- windows


@pytest.mark.parametrize(
    ("text", "days"), [("2w", 14), ("1M", 30), ("1Q", 90), ("1Y", 365), ("28d", 28), ("1d12h", 1.5)]
)
def test_a_rolling_window(tmp_path: Path, text: str, days: float) -> None:
    slo = slospecs.slo(tmp_path, "duration: 30d", f"duration: {text}")
    assert slo.period == days * DAY_S
    assert slo.calendar is None


def calendar(duration: str, start: str = "2026-01-05 12:30:00", zone: str = "Europe/Berlin", rolling: str = "") -> str:
    return slospecs.changed(
        "    - duration: 30d\n      isRolling: true\n",
        f"    - duration: {duration}\n{rolling}      calendar:\n        startTime: {start}\n        timeZone: {zone}\n",
    )


@pytest.mark.parametrize(
    ("text", "count", "unit", "days"),
    [
        ("7d", 7, "day", 7),
        ("1w", 1, "week", 7),
        ("2M", 2, "month", 60),
        ("1Q", 1, "quarter", 90),
        ("1Y", 1, "year", 365),
    ],
)
def test_a_window_that_follows_a_calendar(tmp_path: Path, text: str, count: int, unit: str, days: int) -> None:
    slo = one(tmp_path, calendar(text))
    assert slo.period == days * DAY_S
    assert slo.calendar == Calendar(datetime(2026, 1, 5, 12, 30), "Europe/Berlin", count, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (calendar("1m"), "29: spec.timeWindow[0].duration: a calendar of 1 minutes; 1M is 1 month"),
        (calendar("36h"), "duration: expected a number of d, w, M, Q, Y"),
        (calendar("0M"), "duration: expected a number of"),
        (calendar("1M", zone="Europe/Berlim"), "timeZone: no time zone is named 'Europe/Berlim'"),
        (calendar("1M", zone="../passwd"), "timeZone: no time zone is named"),
        (calendar("1M", start="2026-01-05"), "startTime: expected a date and time"),
        (calendar("1M", start="2026-02-30 00:00:00"), "startTime: expected a date and time"),
        (calendar("1M", start="2026-01-31 00:00:00"), "startTime: not every month has a day 31"),
        (calendar("1M", rolling="      isRolling: true\n"), "isRolling: expected false"),
        (slospecs.changed("      isRolling: true\n", ""), "expected either isRolling: true or a calendar"),
        (slospecs.changed("duration: 30d", "duration: 99Y"), "'99Y' is longer than"),
        (
            slospecs.changed("      isRolling: true\n", "      isRolling: true\n    - duration: 1d\n"),
            "timeWindow: expected exactly one time window, found 2",
        ),
        (
            slospecs.changed("  timeWindow:\n    - duration: 30d\n      isRolling: true\n", ""),
            "spec.timeWindow: expected one time window",
        ),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(tmp_path: Path, spec: str, words: str) -> None:
    found = refusals(tmp_path, spec)
    assert any(words in message for message in found), found


# --- budgets


def slices(method: str, more: str) -> str:
    text = slospecs.changed("Method: Occurrences", f"Method: {method}")
    return text.replace("- target: 0.999", f"- target: 0.999\n      {more}")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            slices("Timeslices", "timeSliceTarget: 0.95\n      timeSliceWindow: 1m"),
            Slices(Duration(60), Decimal("0.95")),
        ),
        (slices("Timeslices", "timeSliceTarget: 1\n      timeSliceWindow: 5"), Slices(Duration(300), Decimal(1))),
        (slices("RatioTimeslices", "timeSliceWindow: 10m"), Slices(Duration(600))),
    ],
)
def test_time_may_be_budgeted_in_slices(tmp_path: Path, spec: str, expected: Slices) -> None:
    assert one(tmp_path, spec).slices == expected


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (slices("Timeslices", "timeSliceWindow: 1m"), "the field 'timeSliceTarget' is missing"),
        (slices("Timeslices", "timeSliceTarget: 1.1\n      timeSliceWindow: 1m"), "above 0, at most 1, found 1.1"),
        (slices("Timeslices", "timeSliceTarget: 0\n      timeSliceWindow: 1m"), "above 0, at most 1, found 0"),
        (slices("RatioTimeslices", "displayName: x"), "the field 'timeSliceWindow' is missing"),
        (slices("RatioTimeslices", "timeSliceWindow: 30d"), "a slice of 30d does not fit a period of 30d"),
        (slices("RatioTimeslices", "timeSliceWindow: x"), "'x' is no duration"),
        (slices("Timeslice", "timeSliceWindow: 1m"), "found 'Timeslice'; did you mean 'Timeslices'?"),
        (slospecs.changed("target: 0.999", "targetPercent: 100"), "between 0 and 100 percent, not at 100"),
        (slospecs.changed("- target: 0.999", "- displayName: x"), "exactly one of target and targetPercent"),
        (slospecs.changed("    - target: 0.999\n", "    []\n"), "objectives: expected at least one objective"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(tmp_path: Path, spec: str, words: str) -> None:
    found = refusals(tmp_path, spec)
    assert any(words in message for message in found), found


def test_each_objective_of_an_indicator_is_an_slo(tmp_path: Path) -> None:
    objectives = "- target: 0.999\n      displayName: Our own!\n    - target: 0.99"
    slos = read(tmp_path, slospecs.changed("- target: 0.999", objectives)).slos
    assert [(slo.name, slo.display_name, str(slo.target)) for slo in slos] == [
        ("checkout-2", "Checkout: 2", "0.99"),
        ("checkout-our-own", "Checkout: Our own!", "0.999"),
    ]
    same = objectives.replace("- target: 0.99", "- displayName: our own\n      target: 0.99")
    assert "two objectives come to the name checkout-our-own" in "".join(
        refusals(tmp_path, slospecs.changed("- target: 0.999", same))
    )


COMPOSITE = REFERRING.replace("  indicatorRef: Great SLI\n", "").replace(
    "    - target: 0.999\n",
    "    - {target: 0.98, displayName: Foo, indicatorRef: Great SLI}\n"
    "    - {target: 0.995, compositeWeight: 2, indicatorRef: Great SLI}\n",
)


def test_objectives_with_indicators_of_their_own_are_one_slo(tmp_path: Path) -> None:
    slo = one(tmp_path, COMPOSITE, SLI)
    assert isinstance(slo.sli, CompositeSli)
    assert [(part.name, part.weight, part.target) for part in slo.sli.parts] == [
        ("Foo", 1, Decimal("0.98")),
        ("Great SLI", 2, Decimal("0.995")),
    ]
    assert slo.target == Decimal("0.99")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", indicatorRef: Great SLI}\n    -", "}\n    -", "objectives[0]: the field 'indicator' is missing"),
        ("compositeWeight: 2", "compositeWeight: 0", "compositeWeight: expected a weight above 0"),
        ("  timeWindow:", "  indicatorRef: Great SLI\n  timeWindow:", "either of the SLO or of each objective"),
        ("Method: Occurrences", "Method: RatioTimeslices", "the field 'timeSliceWindow' is missing"),
    ],
)
def test_a_composite_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in COMPOSITE
    found = refusals(tmp_path, COMPOSITE.replace(old, new), SLI)
    assert any(words in message for message in found), found


def test_a_composite_of_occurrences_needs_events(tmp_path: Path) -> None:
    sampled = SLI.replace(
        SLI[SLI.index("  ratioMetric") :],
        "  thresholdMetric:\n    metricSource:\n      type: Prometheus\n      spec: {query: temperature}\n",
    )
    composite = COMPOSITE.replace("{target: 0.98", "{op: lt, value: 3, target: 0.98").replace(
        "{target: 0.995", "{op: lt, value: 3, target: 0.995"
    )
    found = refusals(tmp_path, composite, sampled)
    assert any("a composite that counts occurrences needs events" in message for message in found), found


# --- indicators that contradict themselves


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (with_indicator("      description: none\n"), "expected exactly one of ratioMetric and thresholdMetric"),
        (raw("up", "sucess"), "expected success or failure, found 'sucess'; did you mean 'success'?"),
        (raw("up", "success").replace("        rawType: success\n", ""), "the field 'rawType' is missing"),
        (slospecs.changed("        total:", "        tootal:"), "did you mean 'total'?"),
        (
            slospecs.changed(
                "type: Prometheus\n            spec:\n              query: orders_total\n",
                "spec:\n              query: orders_total\n",
            ),
            "the field 'type' is missing",
        ),
        (threshold("x", "lt", "3").replace("      op: lt\n", ""), "the field 'op' is missing"),
        (threshold("x", "lt", "3").replace("      value: 3\n", ""), "the field 'value' is missing"),
        (threshold("x", "le", "3"), "expected lt or lte or gt or gte, found 'le'"),
        (threshold("x_total", "lt", "3"), "its value only says when it began"),
        (threshold("avg_over_time(x[{{.window}}])", "lt", "3"), "judged moment by moment"),
        (raw("x_total", "failure"), "is a counter by its name, and no ratio"),
        (slospecs.changed("query: orders_total\n", "query: orders_total\n              step: 5\n"), "field 'step'"),
        (
            slospecs.changed("query: orders_total\n", "quarry: orders_total\n"),
            "expected a query in PromQL under 'query'",
        ),
        (slospecs.changed("description: Orders", f"description: {'x' * 1051}"), "at most 1050 characters, found 1063"),
    ],
)
def test_an_indicator_that_makes_no_sense_is_refused(tmp_path: Path, spec: str, words: str) -> None:
    found = refusals(tmp_path, spec)
    assert any(words in message for message in found), found


def test_an_indicator_that_nobody_uses_is_still_looked_at(tmp_path: Path) -> None:
    both = SLI.replace("    total:", "    bad:\n      metricSource: {type: X, spec: {query: e_total}}\n    total:")
    (message,) = refusals(tmp_path, both)
    assert message.endswith("spec.ratioMetric: expected exactly one of good and bad")


# --- strict and lenient

DATADOG = slospecs.SLO.replace("Prometheus", "Datadog").replace("query: orders_total\n", "query: sum:trace.hits{*}\n")


def test_another_language_is_refused_and_leniently_left_out(tmp_path: Path) -> None:
    (message,) = refusals(tmp_path, DATADOG)
    assert message.startswith("27: spec.indicator.spec.ratioMetric.total.metricSource.spec.query: ")
    assert "no PromQL, the only language that is read here: unexpected character" in message
    assert message.endswith("(doubtful: --lenient only warns)")
    specs = read(tmp_path, DATADOG, strict=False)
    assert specs.slos == ()
    assert [warning.line for warning in specs.warnings] == [27]
    assert str(specs.warnings[0]).endswith("; the SLO is left out")


def test_a_broken_query_of_prometheus_is_never_left_out(tmp_path: Path) -> None:
    broken = slospecs.changed("query: orders_total\n", "query: sum(orders_total\n")
    assert refusals(tmp_path, broken, strict=False)


def test_leniently_doubts_are_warnings(tmp_path: Path) -> None:
    spec = calendar("1m").replace("  description: Orders", "  owner: me\n  description: Orders")
    specs = read(tmp_path, spec, strict=False)
    assert specs.slos[0].calendar == Calendar(datetime(2026, 1, 5, 12, 30), "Europe/Berlin", 1, "month")
    path = tmp_path / "spec.yaml"
    assert [warning.line for warning in specs.warnings] == [
        slospecs.line_of(path, "owner: me"),
        slospecs.line_of(path, "- duration: 1m"),
    ]
    assert len(refusals(tmp_path, spec)) == 2


def test_leniently_a_missing_method_counts_occurrences(tmp_path: Path) -> None:
    spec = slospecs.changed("  budgetingMethod: Occurrences\n", "")
    assert one(tmp_path, spec, strict=False).slices is None
    assert "the field 'budgetingMethod' is missing" in refusals(tmp_path, spec)[0]


def test_prometheus_takes_every_query_that_is_made(tmp_path: Path) -> None:
    native = threshold("d_seconds", "lt", "0.25").replace(
        "monitoring/threshold-window: 2m", 'monitoring/native-histogram: "true"'
    )
    specs = [native, *(case[0] for case in SLI_CASES)]
    made = [query for spec in specs for query in queries(one(tmp_path, spec).sli) if query]
    rules = [{"record": f"made:{i}", "expr": expr.replace("$window", "5m")} for i, expr in enumerate(made)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "made", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert f"{len(rules)} rules found" in done.stdout, done.stderr


def test_leniently_a_missing_window_is_thirty_days(tmp_path: Path) -> None:
    spec = slospecs.changed("  timeWindow:\n    - duration: 30d\n      isRolling: true\n", "")
    assert one(tmp_path, spec, strict=False).period == 30 * DAY_S


def test_prometheus_computes_what_was_meant(tmp_path: Path) -> None:
    """Two series each, a sample a minute: what the queries give over ten minutes."""
    bad = (
        slospecs.changed("good:", "bad:")
        .replace(
            'orders_total{outcome="ok"}',
            'sum(d_count{code="500"}) + sum(d_count{code="200"}) - sum(d_bucket{le="2.0"})',
        )
        .replace("query: orders_total\n", "query: d_count\n")
    )
    cases = [
        (slospecs.SLO, (40, 30)),
        (slospecs.SLO.replace("query: orders_total\n", "query: sum(rate(orders_total[5m]))\n"), (40, 30)),
        (bad, (30, 15)),
        (threshold("d_bucket", "lte", "2"), (20, 15)),
        (threshold("temperature", "lt", "30"), (0.5,)),
        (threshold("sum(temperature)", "lt", "30"), (1,)),
        (threshold("histogram_quantile(0.9, rate(idle_bucket[5m]))", "lt", "3"), (None,)),
        (raw("temperature / temperature", "failure"), (1,)),
        (raw("avg(avg_over_time(temperature[5m])) / 60", "success"), (0.5,)),
    ]
    series = {
        'orders_total{outcome="ok"}': "0+3x20",
        'orders_total{outcome="failed"}': "0+1x20",
        'd_count{code="200"}': "0+2x20",
        'd_count{code="500"}': "0+1x20",
        'd_bucket{code="200",le="2.0"}': "0+1.5x20",
        'd_bucket{code="200",le="+Inf"}': "0+2x20",
        'temperature{room="a"}': "20x20",
        'temperature{room="b"}': "40x20",
        'idle_bucket{le="1"}': "5x20",
        'idle_bucket{le="+Inf"}': "5x20",
    }
    checks = []
    for spec, expected in cases:
        found = [query for query in queries(one(tmp_path, spec).sli) if query]
        for query, value in zip(found, expected, strict=True):
            samples = [] if value is None else [{"labels": "{}", "value": value}]
            checks.append({"expr": query.replace("$window", "10m"), "eval_time": "20m", "exp_samples": samples})
    test = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": checks,
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
