"""Whether what is on disk is what the specs say, and whether that makes sense.

Everything is rebuilt in memory and compared; then the rules and the boards
themselves are looked at, by us and by promtool and amtool.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from monitoring.alerting.verify import verify
from monitoring.boards.queries import panel_queries
from monitoring.generate import Plan, changes
from monitoring.lint.model import Severity
from monitoring.lint.run import lint
from monitoring.paths import shown
from monitoring.rules.model import Alert, Recording, RuleFile

_RECORDED = re.compile(r'(?<![\w:"])slo:[a-zA-Z0-9_:]+')
"""The names of our recorded series in an expression, not the patterns of names within quotes."""


def problems(wanted: Plan) -> list[str]:
    """Everything wrong, a line each; empty when all is well. Raises CannotWriteError."""
    with ThreadPoolExecutor(1) as pool:
        # The programs take about as long as we do: both at once.
        asked = pool.submit(verify, wanted.files, wanted.folders[0], wanted.routes)
        found = [*_differences(wanted), *_rule_problems(wanted.rules), *_board_problems(wanted)]
        return [*found, *asked.result()]


def _differences(wanted: Plan) -> Iterator[str]:
    todo = changes(wanted)
    yield from (f"{shown(path)}: missing; `python -m monitoring generate` writes it" for path in todo.missing)
    yield from (f"{shown(path)}: stale; `python -m monitoring generate` renews it" for path in todo.stale)
    yield from (f"{shown(path)}: orphan; `python -m monitoring generate` removes it" for path in todo.orphan)


def _rule_problems(files: Iterable[RuleFile]) -> Iterator[str]:
    rules = [(file.name, rule) for file in files for rule in file.rules()]
    series = Counter(
        (rule.record, tuple(sorted(rule.labels.items()))) for _, rule in rules if isinstance(rule, Recording)
    )
    yield from (f"{name}{dict(labels)} is recorded {n} times" for (name, labels), n in series.items() if n > 1)
    recorded = {name for name, _ in series}
    for file, rule in rules:
        name = rule.record if isinstance(rule, Recording) else rule.alert
        yield from (f"rules/{file}.yml: {name}: {problem}" for problem in _unrecorded(rule.expr, recorded))
        if isinstance(rule, Alert) and "runbook_url" not in rule.annotations:
            yield f"rules/{file}.yml: {name}: no runbook_url"


def _board_problems(wanted: Plan) -> Iterator[str]:
    recorded = {rule.record for file in wanted.rules for rule in file.rules() if isinstance(rule, Recording)}
    titles: dict[str, Path] = {}
    for path, content in wanted.files.items():
        if path.suffix != ".json":
            continue
        board = json.loads(content)
        found = (one for one in lint(board) if one.severity >= Severity.WARNING)
        yield from (f"{shown(path)}: {finding}" for finding in found)
        # Grafana only logs that a title is taken, and then shows one of the two boards.
        first = titles.setdefault(board["title"], path)
        if first != path:
            yield f"{shown(path)}: the title {board['title']!r} is that of {shown(first)} too"
        for query in panel_queries(board, rate_interval="5m", job=".+", instance=".+", slo=".+"):
            for problem in _unrecorded(query.expr, recorded):
                yield f"{shown(path)}: {query.panel_title} {query.ref_id}: {problem}"


def _unrecorded(expr: str, recorded: set[str]) -> Iterator[str]:
    """What reads a recorded series that nothing records. That it parses, promtool and the boards' own checks say."""
    for name in sorted({*_RECORDED.findall(expr)} - recorded):
        yield f"reads {name}, which no rule records"
