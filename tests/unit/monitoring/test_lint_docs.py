"""Every rule about dashboards is documented, and every example in its documentation is a test of it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from monitoring.checks import boards, metricsource
from monitoring.checks.command import ALL_RULES
from monitoring.lint.metrics import Metrics
from monitoring.lint.model import Known, Severity
from tests.support.repository import ROOT

PAGES = [ROOT / "docs/dashboard-rules/structure.md", ROOT / "docs/dashboard-rules/queries.md"]
_RULE = re.compile(r"^### (\S+)$", re.MULTILINE)
_EXAMPLE = re.compile(r"^```json (failing|passing) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_METRICS = re.compile(r"^```text metrics\n(.*?)^```$", re.MULTILINE | re.DOTALL)

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TARGET = {
    "refId": "A",
    "expr": 'histogram_quantile(0.95, sum by (le) (rate(request_seconds_bucket{job=~"$job"}[$__rate_interval])))',
    "legendFormat": "p95",
}
PANEL: dict[str, Any] = {
    "id": 1,
    "type": "timeseries",
    "title": "Latency",
    "description": "How long buyers wait.",
    "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0},
    "datasource": DATASOURCE,
    "fieldConfig": {"defaults": {"unit": "s"}, "overrides": []},
    "options": {},
    "targets": [TARGET],
}
VARIABLES = [
    {"name": "datasource", "type": "datasource", "query": "prometheus"},
    {"name": "other", "type": "datasource", "query": "prometheus"},
    {
        "name": "job",
        "type": "query",
        "datasource": DATASOURCE,
        "query": "label_values(up, job)",
        "multi": True,
        "includeAll": True,
    },
]
BOARD: dict[str, Any] = {
    "uid": "shop",
    "title": "Shop",
    "editable": False,
    "schemaVersion": 42,
    "time": {"from": "now-1h", "to": "now"},
    "templating": {"list": VARIABLES},
    "panels": [PANEL],
}
FAR_FROM_RIGHT = {"variable-unused"}
"""What the frame itself may break: its second data source is for one example."""


@dataclass(frozen=True)
class Example:
    rule: str
    should: str
    scope: str
    text: str


def examples() -> Iterator[Example]:
    for page in PAGES:
        parts = _RULE.split(page.read_text())
        for rule, body in zip(parts[1::2], parts[2::2], strict=True):
            for should, scope, text in _EXAMPLE.findall(body):
                yield Example(rule, should, scope, text)


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    """The metrics that the page about queries begins with."""
    told = _METRICS.search(PAGES[1].read_text())
    assert told
    path: Path = tmp_path_factory.mktemp("metrics") / "shop.prom"
    path.write_text(told[1])
    return metricsource.read(str(path))


def merged(base: Any, change: Any) -> Any:
    """The base with what the example says; lists and texts take the place of what was there."""
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {key: merged(base.get(key), value) for key, value in change.items()}
    return change


def framed(example: Example) -> dict[str, Any]:
    """A whole dashboard with the example in it."""
    value = json.loads(example.text)
    board = copy.deepcopy(BOARD)
    match example.scope:
        case "board":
            board = merged(board, value)
        case "panel":
            board["panels"] = [merged(PANEL, value)]
        case "target":
            board["panels"][0]["targets"] = [merged(TARGET, value)]
        case "variable":
            board["templating"]["list"].append(value)
            board["panels"][0]["description"] += f" ${value['name']}" if example.should == "passing" else ""
    return board


def found(example: Example, metrics: Metrics) -> list[tuple[str, Severity]]:
    """Rules that are broken, with their severities."""
    known = Known(metrics)
    if example.rule == "datasource-unknown":
        known = replace(known, datasources=frozenset({"prometheus"}))
    if example.scope == "files":
        some = enumerate(json.loads(example.text))
        sources = [boards.sources(f"dashboards/{i}.json", json.dumps(one), one) for i, one in some]
        findings = list(boards.across(sources))
    elif example.scope == "file":
        source = boards.sources("a.json", example.text, json.loads(example.text))
        findings = [one for one in boards.check(source, known) if one.subject and one.subject.rule == example.rule]
    else:
        board = framed(example)
        findings = list(boards.check(boards.sources("a.json", json.dumps(board), board), known))
    return [(one.subject.rule, one.severity) for one in findings if one.subject]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.rule}-{one.should}")
def test_the_example_does_what_it_says(example: Example, metrics: Metrics) -> None:
    told = found(example, metrics)
    if example.should == "failing":
        assert example.rule in {rule for rule, _ in told}
        return
    assert example.rule not in {rule for rule, _ in told}
    assert {rule for rule, severity in told if severity >= Severity.WARNING} <= FAR_FROM_RIGHT


def test_every_rule_has_both_examples_and_every_example_a_rule() -> None:
    broken = {example.rule for example in EXAMPLES if example.should == "failing"}
    kept = {example.rule for example in EXAMPLES if example.should == "passing"}
    rules = {rule.id for rule in ALL_RULES}
    assert broken == rules
    # A variable that is used is in every other example.
    assert rules - kept == {"variable-unused"}


def test_the_pages_give_each_rules_severity_and_reason() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    for rule in ALL_RULES:
        assert f"### {rule.id}\n\n{rule.severity.name.capitalize()}. {rule.reason}" in pages
