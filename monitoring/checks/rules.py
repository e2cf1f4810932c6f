"""Prometheus rules, whoever wrote them: queries, names, labels and what a person needs of an alert; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from monitoring.checks.model import Finding
from monitoring.errors import PromqlError
from monitoring.promql import uses
from monitoring.yamltree import Node

_OWN_PREFIX = "slo:"
_FOR_A_TEST = (".rules.yml", ".rules.yaml")

Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class RuleBook:
    """What the rule files seen so far record and read."""

    recorded: dict[tuple[str, Series], tuple[str, int]] = field(default_factory=dict)
    """Each series of each set of files, and where it is recorded first."""
    read: list[tuple[str, str, int]] = field(default_factory=list)
    """(series, file, line)."""
    shared: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(file, earlier file): how many series both record."""
    places: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """The line of each rule by file, group and number (from 1), as promtool names it."""

    def across(self) -> Iterator[Finding]:
        """What only shows when all files are known."""
        for (file, earlier), count in self.shared.items():
            yield Finding(file, 1, f"{count} series are recorded in {earlier} too", doubt=True)
        yield from self._unrecorded()

    def _unrecorded(self) -> Iterator[Finding]:
        """What reads a series of ours that no rule among them records."""
        names = {name for _, (name, _) in self.recorded}
        for name, file, line in self.read:
            if name not in names:
                yield Finding(file, line, f"reads {name}, which no rule among these files records", doubt=True)


def check(file: str, tree: Node, book: RuleBook) -> Iterator[Finding]:
    """Everything wrong with one file's `groups`, a mapping that `tree` is or has."""
    groups = tree.child("groups")
    if groups is None or not isinstance(groups.value, tuple):
        yield Finding(file, tree.line, "groups: expected a list of groups")
        return
    named: dict[str, int] = {}
    for i, group in enumerate(groups.value):
        name, rules = str(group.scalar("name") or ""), group.child("rules")
        if not name:
            yield Finding(file, group.line, f"groups[{i}]: a group needs a name")
        elif name in named:
            yield Finding(file, group.line, f"the group {name!r} stands here twice, first in line {named[name]}")
        named.setdefault(name, group.line)
        if rules is None or rules.value is None:
            continue
        if not isinstance(rules.value, tuple):
            yield Finding(file, rules.line, f"groups[{i}].rules: expected a list of rules")
            continue
        book.places |= {(file, name, n): rule.line for n, rule in enumerate(rules.value, 1)}
        yield from _rules(file, rules.value, book)


def _rules(file: str, rules: Sequence[Node], book: RuleBook) -> Iterator[Finding]:
    for rule in rules:
        record, alert = rule.scalar("record"), rule.scalar("alert")
        if bool(record) == bool(alert):
            yield Finding(file, rule.line, "expected a rule with either record or alert")
            continue
        name = str(record or alert)
        yield from _expression(file, name, rule, book)
        if record:
            yield from _unique(file, name, rule, book)
        else:
            yield from _useful(file, name, rule)


def _expression(file: str, name: str, rule: Node, book: RuleBook) -> Iterator[Finding]:
    expr, line = rule.scalar("expr"), rule.line_of("expr")
    if expr is None:
        yield Finding(file, line, f"{name}: the field 'expr' is missing")
        return
    try:
        found = {use.selector.name for use in uses(str(expr))}
    except PromqlError as error:
        yield Finding(file, line, f"{name}: {_one_line(str(error))}")
        return
    book.read += [(series, file, line) for series in sorted(found) if series.startswith(_OWN_PREFIX)]


def _unique(file: str, name: str, rule: Node, book: RuleBook) -> Iterator[Finding]:
    labels = _pairs(rule, "labels")
    series = (name, labels)
    first_file, first_line = book.recorded.setdefault((_set_of(file), series), (file, rule.line))
    if first_file != file:
        # A copy does this: one sentence for the file says it.
        book.shared[file, first_file] += 1
    elif first_line != rule.line:
        shown = ", ".join(f"{key}={value!r}" for key, value in labels)
        yield Finding(file, rule.line, f"{name}{{{shown}}} is recorded already, in line {first_line}")


def _set_of(file: str) -> str:
    """Files of one folder are loaded together; NAME.rules.yml, for its test NAME.test.yml, is loaded by itself.

    Environments lie in folders of their own, and record the same.
    """
    return file if PurePath(file).name.endswith(_FOR_A_TEST) else str(PurePath(file).parent)


def _useful(file: str, name: str, rule: Node) -> Iterator[Finding]:
    for where, key, why in (
        ("labels", "severity", "nobody knows how urgent it is"),
        ("annotations", "runbook_url", "whoever is woken does not know what to do"),
    ):
        if key not in dict(_pairs(rule, where)):
            yield Finding(file, rule.line, f"{name}: no {key} among its {where}; {why}", doubt=True)


def _pairs(rule: Node, key: str) -> tuple[tuple[str, str], ...]:
    child = rule.child(key)
    if child is None or not isinstance(child.value, dict):
        return ()
    return tuple(sorted((label, str(child.scalar(label))) for label in child.value))


def _one_line(text: str) -> str:
    return " ".join(text.split())
