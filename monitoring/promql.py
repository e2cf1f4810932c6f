"""PromQL read through a real parser: selectors, and which metrics an expression uses how.

Regular expressions over queries break at the first quoted brace; everything that
asks what a query means asks the syntax tree.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as pp

from monitoring.errors import PromqlError

COUNTER_SUFFIXES = ("_total", "_count", "_bucket")
"""What the name of a series that only grows ends in; a histogram's buckets and count are counters too."""

MAX_DEPTH = 1000
"""Brackets and all operators together; the calendars of our own rules need some 600."""
_STRINGS = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""")
_BINDS = re.compile(r"[-+*/%^<>]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_STEPS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_BRACKET = re.compile(r"[][(){}]")

_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True)
class Matcher:
    """One label matcher of a selector."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quoted(self.value)}"


@dataclass(frozen=True)
class Selector:
    """An instant vector selector: one metric and its matchers."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}{{{','.join(map(str, self.matchers))}}}" if self.matchers else self.name

    def value_of(self, label: str) -> str | None:
        """What `label` must be equal to; None when it is free."""
        return next((m.value for m in self.matchers if m.label == label and m.operator == "="), None)


@dataclass(frozen=True)
class Use:
    """One place where an expression reads a metric."""

    selector: Selector
    function: str | None
    """The function that takes its range (rate, increase, …); None for an instant vector."""
    by: frozenset[str]
    """Every label that an aggregation around it keeps or drops by name."""


def quoted(text: str) -> str:
    """A PromQL string literal."""
    return json.dumps(text, ensure_ascii=False)


def parse(expr: str, max_depth: int = MAX_DEPTH) -> pp.Expr:
    """The syntax tree. Raises PromqlError, with the parser's own words where it refuses."""
    # The parser recurses, one level for each bracket and operator, and dies of a few thousand.
    if len(expr) > max_depth and _depth(expr) > max_depth:
        raise PromqlError(f"more than {max_depth} brackets and operators inside each other: {expr[:60]}…")
    try:
        return pp.parse(expr)
    except ValueError as error:
        raise PromqlError(f"{str(error).strip()} in: {expr}") from error


def plain_selector(tree: pp.Expr) -> Selector | None:
    """The selector, when an expression is nothing but one instant selector of a metric's name."""
    if not isinstance(tree, pp.VectorSelector) or tree.offset or tree.at or not tree.name:
        return None
    return selector_of(tree)


def is_counter(name: str) -> bool:
    """Whether a metric only grows, going by its name."""
    return name.endswith(COUNTER_SUFFIXES)


def uses(expr: str) -> list[Use]:
    """Every metric an expression reads, in the order of its text. Raises PromqlError."""
    try:
        return list(_uses(parse(expr), None, frozenset()))
    except RecursionError as error:
        raise PromqlError(f"too many brackets and operators inside each other: {expr[:60]}…") from error


def _depth(expr: str) -> int:
    """A bound of how deep the syntax tree can be: nested brackets and all operators."""
    bare = _STRINGS.sub("", expr)
    nested = max(itertools.accumulate(map(_STEPS.__getitem__, _BRACKET.findall(bare))), default=0)
    return nested + len(_BINDS.findall(bare))


def selector_of(node: Any) -> Selector:
    """The selector that a VectorSelector of the tree is."""
    matchers = (Matcher(m.name, _OPERATORS[str(m.op).rsplit(".", 1)[-1]], m.value) for m in node.matchers.matchers)
    return Selector(node.name or "", tuple(matchers))


def _uses(node: Any, function: str | None, by: frozenset[str]) -> Iterator[Use]:
    match node:
        case pp.VectorSelector():
            yield Use(selector_of(node), function, by)
        case pp.MatrixSelector():
            yield Use(selector_of(node.vector_selector), function, by)
        case pp.Call():
            # Only a range belongs to its function: abs(x) reads x as an instant vector.
            yield from itertools.chain.from_iterable(
                _uses(a, node.func.name if isinstance(a, pp.MatrixSelector) else None, by) for a in node.args
            )
        case pp.AggregateExpr():
            yield from _uses(node.expr, None, by | frozenset(node.modifier.labels if node.modifier else ()))
        case pp.BinaryExpr():
            yield from _uses(node.lhs, None, by)
            yield from _uses(node.rhs, None, by)
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            yield from _uses(node.expr, None, by)
