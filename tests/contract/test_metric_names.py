"""Joins the halves: every metric a rule or board reads exists, with that type and those labels.

The platform does not import the messenger; this test imports both. Queries are read
through the parser's tree, so a metric in a nested quantile counts as one in the open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.metrics import CATALOGUE, FANOUT_SLO_S, PROCESS_METRICS, READ_SYNC_SLO_S
from monitoring.boards.queries import panel_queries
from monitoring.oncall.metrics import CATALOGUE as ONCALL_CATALOGUE
from monitoring.probes.metrics import CATALOGUE as PROBE_CATALOGUE
from monitoring.promql import Use, uses
from monitoring.rules.model import Recording
from monitoring.signals import host, nginx, postgres, redis
from monitoring.signals import messenger as signals
from monitoring.signals.kinds import Counter, Gauge, Histogram, Signal
from monitoring.spec.reader import load
from tests.support.production import CONFIG, PLAN
from tests.support.repository import RUNBOOKS, SLOS

OVER_COUNTERS = {"rate", "increase", "irate"}
OVER_GAUGES = {
    "last_over_time",
    "sum_over_time",
    "avg_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
}
OURS = re.compile(r"\b(messenger|oncall|ws|process)_[a-z_]+|\bslo:[a-z_:]+")
ANY: tuple[str, ...] = ()
"""A label whose values are not known beforehand."""


@dataclass(frozen=True)
class Series:
    """What may be asked of one series name."""

    kind: str
    labels: dict[str, tuple[str, ...]]


def expand(name: str, kind: str, labels: dict[str, tuple[str, ...]], bounds: tuple[str, ...]) -> dict[str, Series]:
    """The series a metric is exposed as: a histogram's three are counters."""
    if kind != "histogram":
        return {name: Series(kind, labels)}
    return {
        f"{name}_bucket": Series("counter", labels | {"le": bounds}),
        f"{name}_count": Series("counter", labels),
        f"{name}_sum": Series("counter", labels),
    }


JOBS = tuple(CONFIG.environment.jobs)

MESSENGER = {
    series: known
    for spec in CATALOGUE
    for series, known in expand(spec.name, spec.kind, spec.labels, (*map(repr, spec.buckets), "+Inf")).items()
} | {name: Series(kind, {}) for name, kind in PROCESS_METRICS.items()}
OUTSIDE = {
    series: known
    for name, (kind, labels) in (PROBE_CATALOGUE | ONCALL_CATALOGUE).items()
    for series, known in expand(name, kind, labels, ANY).items()
}
RECORDED = {
    rule.record: Series("gauge", dict.fromkeys(rule.labels, ANY))
    for file in PLAN.rules
    for rule in file.rules()
    if isinstance(rule, Recording)
}
PROMETHEUS = {
    "up": Series("gauge", {}),
    "prometheus_rule_evaluations_total": Series("counter", {}),
    "prometheus_rule_evaluation_failures_total": Series("counter", {}),
    "prometheus_notifications_dropped_total": Series("counter", {}),
    "alertmanager_notifications_total": Series("counter", {}),
    "alertmanager_notifications_failed_total": Series("counter", {}),
    "ALERTS": Series(
        "gauge", dict.fromkeys(("alertname", "alertstate", "kind", "severity", "service", "slo_id", "tier"), ANY)
    ),
}
SURROUNDINGS = {
    signal.name: Series("counter" if isinstance(signal, Counter) else "gauge", dict(signal.labels))
    for module in (host, nginx, postgres, redis)
    for signal in vars(module).values()
    if isinstance(signal, Signal)
}
"""As the boards believe them to be; the stack's end-to-end test asks the real exporters."""
KNOWN = MESSENGER | OUTSIDE | RECORDED | PROMETHEUS | SURROUNDINGS
TARGET_LABELS = {"job": JOBS, "instance": ANY}


def expressions() -> Iterator[tuple[str, str]]:
    """Everything that is asked: (where, expression)."""
    for file in PLAN.rules:
        for rule in file.rules():
            yield f"{file.name}: {rule.record if isinstance(rule, Recording) else rule.alert}", rule.expr
    for path, content in PLAN.files.items():
        if path.suffix == ".json":
            for query in panel_queries(json.loads(content), rate_interval="1m", job="secure-messenger", instance=".+"):
                yield f"{path.name}: {query.panel_title} {query.ref_id}", query.expr


def problems(use: Use) -> list[str]:
    """What is wrong with one reading of one metric."""
    selector = use.selector
    if not selector.name:  # chosen by a pattern: any of those that match will do
        pattern = next(m.value for m in selector.matchers if m.label == "__name__")
        return [] if any(re.fullmatch(pattern, name) for name in KNOWN) else [f"no metric is called {pattern}"]
    series = KNOWN.get(selector.name)
    if series is None:
        return [f"{selector.name} does not exist"]
    labels = series.labels | TARGET_LABELS
    found = [f"{selector.name} has no label {label}" for label in use.by - labels.keys() - {"le"}]
    found += [f"{selector.name} has no label {m.label}" for m in selector.matchers if m.label not in labels]
    found += [
        f"{selector.name} has no {m}"
        for m in selector.matchers
        if m.operator == "=" and labels.get(m.label) and m.value not in labels[m.label]
    ]
    if series.kind == "counter" and use.function not in OVER_COUNTERS:
        found.append(f"{selector.name} is a counter and is read without a rate or an increase")
    if series.kind == "gauge" and use.function not in OVER_GAUGES | {None}:
        found.append(f"{selector.name} is a gauge and has no {use.function}")
    return found


@pytest.mark.parametrize(("where", "expr"), [pytest.param(w, e, id=w) for w, e in expressions()])
def test_every_metric_that_is_asked_for_exists_with_that_type_and_those_labels(where: str, expr: str) -> None:
    assert [problem for use in uses(expr) for problem in problems(use)] == []


def code_spans() -> Iterator[tuple[str, str]]:
    """Everything in the runbooks that speaks of our metrics: (page, code)."""
    for page in sorted(RUNBOOKS.glob("*.md")):
        for span in re.findall("`([^`]+)`", page.read_text()):
            if OURS.search(span):
                yield page.name, span


@pytest.mark.parametrize(("page", "code"), [pytest.param(p, c, id=f"{p}: {c}") for p, c in code_spans()])
def test_every_query_of_a_runbook_can_be_asked(page: str, code: str) -> None:
    """A query that is typed at night must not be wrong; a bare counter is a name and not a query."""
    found = [problem for use in uses(code) for problem in problems(use)]
    assert [problem for problem in found if "(" in code or "is read without" not in problem] == []


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("rate(ws_connections_active[5m])", "is a gauge and has no rate"),
        ("messenger_requests_total", "read without a rate"),
        ('rate(messenger_requests_total{outcome="eror"}[5m])', 'has no outcome="eror"'),
        ("sum by (room) (rate(messenger_requests_total[5m]))", "has no label room"),
        ("rate(messenger_fanout_latency_seconds[5m])", "does not exist"),
        ('rate(messenger_fanout_latency_seconds_bucket{le="0.3"}[5m])', 'has no le="0.3"'),
        ('up{job="elsewhere"}', 'has no job="elsewhere"'),
        ('{__name__=~"slo:nothing.+"}', "no metric is called"),
    ],
)
def test_the_contract_itself_notices(expr: str, words: str) -> None:
    assert any(words in problem for use in uses(expr) for problem in problems(use))


@pytest.mark.parametrize(("name", "bound_s"), [("fanout-latency", FANOUT_SLO_S), ("read-sync", READ_SYNC_SLO_S)])
def test_the_objective_is_the_messengers_own_bound(name: str, bound_s: float) -> None:
    slo = next(slo for slo in load([SLOS]) if slo.name == name)
    bounds = {bound for selector in slo.selectors if (bound := selector.value_of("le"))}
    assert bounds == {repr(bound_s)}


@pytest.mark.parametrize("signal", [s for s in vars(signals).values() if isinstance(s, Signal)], ids=lambda s: s.name)
def test_each_signal_is_declared_as_the_service_declares_it(signal: Signal) -> None:
    declared = {spec.name: Series(spec.kind, spec.labels) for spec in CATALOGUE}
    declared |= {name: Series(kind, dict(labels)) for name, (kind, labels) in PROBE_CATALOGUE.items()}
    declared |= {name: Series(kind, {}) for name, kind in PROCESS_METRICS.items()} | PROMETHEUS
    kinds = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
    assert Series(kinds[type(signal)], dict(signal.labels)) == declared[signal.name]
