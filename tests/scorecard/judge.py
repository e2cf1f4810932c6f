"""Puts each defect into its board, asks the linter, and compares what it says with what should be said."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from monitoring.checks import boards, metricsource, programs
from monitoring.checks.model import Finding
from monitoring.lint.metrics import Metrics
from monitoring.lint.model import Known, Severity
from monitoring.lint.wrapped import board_in
from tests.scorecard.bases import BASES, Json
from tests.scorecard.defects import DEFECTS, EXPOSITION, MIXTURES, NEED_METRICS, TRICKY, Defect


@dataclass
class Verdict:
    """Of one board: how many defects it has and how many were found, and what was flagged beside them."""

    name: str
    wanted: int
    found: int
    missed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether everything was found and nothing else flagged."""
        return self.found == self.wanted and not self.extra

    def __str__(self) -> str:
        missed = f" missed: {', '.join(self.missed)}" if self.missed else ""
        extra = f" wrongly flagged: {'; '.join(self.extra)}" if self.extra else ""
        return f"{self.name}:{missed}{extra}"


@cache
def shop() -> Metrics:
    """The metrics of the shop, read as a user's file is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.prom"
        path.write_text(EXPOSITION)
        return metricsource.read(str(path))


def judged(some: Sequence[Json], metrics: Sequence[Metrics | None] = ()) -> list[list[Finding]]:
    """What `check` says of each board, notes left out; promtool is asked once for all."""
    sources = [boards.sources("board.json", json.dumps(board), board) for board in some]
    refused = programs.expressions(boards.expressions(sources))
    return [
        [one for one in boards.check(source, Known(known, refused=refused)) if one.severity >= Severity.WARNING]
        for source, known in zip(sources, metrics or [None] * len(sources), strict=True)
    ]


@cache
def defects() -> tuple[Verdict, ...]:
    """One board a defect."""
    return _seeded([(one.name, one.base, [one]) for one in DEFECTS])


@cache
def mixtures() -> tuple[Verdict, ...]:
    """Several defects a board."""
    by_name = {one.name: one for one in DEFECTS}
    return _seeded([(" + ".join(names), "today", [by_name[name] for name in names]) for names in MIXTURES])


@cache
def right_ones() -> tuple[Verdict, ...]:
    """Boards in which there is nothing to find: the bases themselves and the unusual."""
    made = {**{f"base {name}": make for name, make in BASES.items()}, **TRICKY}
    told = judged([make() for make in made.values()])
    return tuple(
        Verdict(name, 0, 0, extra=[str(one) for one in findings if not _is_style(one, name)])
        for name, findings in zip(made, told, strict=True)
    )


def _is_style(finding: Finding, name: str) -> bool:
    """What is true of a whole style: people of Grafana 6 wrote units elsewhere, mixins choose one value."""
    rule = finding.subject.rule if finding.subject else ""
    return name == "base mixin" and rule == "variable-unused"


def _seeded(plans: Sequence[tuple[str, str, list[Defect]]]) -> tuple[Verdict, ...]:
    made, metrics = [], []
    for _name, base, wanted in plans:
        board = BASES[base]()
        for one in wanted:
            one.change(board)
        made.append(board)
        metrics.append(shop() if any(NEED_METRICS.intersection(one.rules) for one in wanted) else None)
    told = judged(made, metrics)
    return tuple(_verdict(name, wanted, found) for (name, _, wanted), found in zip(plans, told, strict=True))


def _verdict(name: str, wanted: list[Defect], told: list[Finding]) -> Verdict:
    found = [one for one in wanted if any(_finds(finding, one) for finding in told)]
    rules = {rule for one in wanted for rule in one.rules}
    extra = [str(one) for one in told if one.subject and one.subject.rule not in rules and not _follows(one, wanted)]
    missed = [one.name for one in wanted if one not in found]
    return Verdict(name, len(wanted), len(found), missed, extra)


def _finds(finding: Finding, defect: Defect) -> bool:
    subject = finding.subject
    return subject is not None and subject.rule in defect.rules and subject.pointer.startswith(defect.place)


def _follows(finding: Finding, wanted: Iterable[Defect]) -> bool:
    """Whether a finding is a true consequence of a defect: what was changed is wrong in a second way too."""
    rule = finding.subject.rule if finding.subject else ""
    return any(rule in CONSEQUENCES.get(one.name, ()) for one in wanted)


CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "two queries with one letter": ("legend-ambiguous",),
    "wider than the grid": ("grid-overlap",),
    "panels as an object": ("variable-unused", "query-missing"),
    "rate of memory": ("unit-meaning",),
    "a raw counter": ("query-no-job", "unit-meaning"),
    "a raw counter behind matchers": ("unit-meaning",),
    "a delta of a counter": ("unit-meaning",),
    "buckets of a count": ("legend-label",),
    "braces that do not close": ("legend-ambiguous",),
    "a function that is none": ("legend-label",),
    "a quantile without le": ("unit-meaning",),
    "a quantile whose le is summed away": ("unit-meaning",),
    "the 95th quantile": ("unit-meaning",),
    "a quantile of a sum": ("unit-meaning", "query-label-unknown"),
    "a quantile of raw buckets": ("unit-meaning",),
    "the mean of quantiles": ("unit-meaning",),
    "sides that never match": ("unit-meaning",),
    "a label the metric has not": ("legend-label",),
    "a data source that is written in": ("datasource-mixed",),
    "two data sources, not mixed": ("datasource-hard-coded",),
    "two variables of one name": ("variable-unused",),
    "a histogram by its bare name": ("unit-meaning",),
}
"""Rules that are rightly broken too where a defect lies: a quantile in requests a second has the wrong unit."""


def published(folder: Path) -> str:
    """What boards of strangers get: how many have no error, findings by rule, and the time it took."""
    counts: Counter[tuple[str, str]] = Counter()
    files = clean = 0
    began = time.monotonic()
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            inner = board_in(json.loads(path.read_text(encoding="utf-8-sig")))
        except (OSError, ValueError):
            continue
        if inner is not None:
            found.append(dict(inner[0]))
    for told in judged(found):
        files += 1
        clean += all(one.severity is not Severity.ERROR for one in told)
        counts.update((one.severity.name.lower(), one.subject.rule) for one in told if one.subject)
    took_s = time.monotonic() - began
    lines = [f"published boards in {folder}: {files}, {clean} without an error, {took_s:.1f} s"]
    lines += [f"  {severity:8}{rule:26}{n:6}" for (severity, rule), n in sorted(counts.items())]
    return "\n".join(lines)
