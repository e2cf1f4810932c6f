"""Questions that only the syntax tree of a query can answer: what it gives, and how it depends on its parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import promql_parser as pp

_DROP_LABELS = frozenset(["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group", "quantile"])
_PASS_THROUGH = frozenset(("clamp_min", "label_replace", "label_join"))
_STRING = r"""(?P<string>"(?:\\.|[^"\\])*")"""
_SPACE = re.compile(_STRING + r"|\s+")
_PADDING = re.compile(_STRING + r"|\( | \)")


def value_type(node: Any) -> str:
    """What an expression gives: `vector`, `number`, `text` or `range of values`."""
    match node:
        case pp.NumberLiteral():
            return "number"
        case pp.StringLiteral():
            return "text"
        case pp.MatrixSelector() | pp.SubqueryExpr():
            return "range of values"
        case pp.ParenExpr() | pp.UnaryExpr():
            return value_type(node.expr)
        case pp.Call():
            return "number" if node.func.return_type == pp.ValueType.Scalar else "vector"
        case pp.BinaryExpr():
            return "number" if value_type(node.lhs) == value_type(node.rhs) == "number" else "vector"
    return "vector"


def _children(node: Any) -> list[Any]:
    match node:
        case pp.Call():
            return list(node.args)
        case pp.BinaryExpr():
            return [node.lhs, node.rhs]
        case pp.AggregateExpr() | pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            return [node.expr]
        case pp.MatrixSelector():
            return [node.vector_selector]
    return []


def every(node: Any) -> Iterator[Any]:
    """A node and all nodes below it."""
    yield node
    for child in _children(node):
        yield from every(child)


def outside_subqueries(node: Any) -> Iterator[Any]:
    """A node and those below it, down to subqueries."""
    yield node
    if not isinstance(node, pp.SubqueryExpr):
        for child in _children(node):
            yield from outside_subqueries(child)


def has_labels(node: Any) -> bool:
    """Whether the result may have labels, and so several series."""
    match node:
        case pp.VectorSelector() | pp.MatrixSelector():
            return True
        case pp.AggregateExpr():
            if str(node.op) not in _DROP_LABELS:
                return True
            modifier = node.modifier
            without = modifier is not None and modifier.type == pp.AggModifierType.Without
            return without or bool(modifier and modifier.labels)
        case pp.BinaryExpr() if str(node.op) in ("and", "unless"):
            return has_labels(node.lhs)
        case pp.Call() if node.func.name in ("vector", "scalar"):
            return False
        case pp.Call() if node.func.name.startswith("absent"):
            return True
    return any(map(has_labels, _children(node)))


def outer_ranges(node: Any) -> Iterator[Any]:
    """The ranges, of selectors and subqueries, that stand in no other range."""
    if isinstance(node, pp.MatrixSelector | pp.SubqueryExpr):
        yield node
        return
    for child in _children(node):
        yield from outer_ranges(child)


def uncountable(node: Any, is_leaf: Callable[[Any], bool]) -> Any | None:
    """The first part of a query that is not linear in its leaves; None when all of it is."""
    if is_leaf(node):
        return None
    parts: list[Any] | None = None
    match node:
        case pp.ParenExpr() | pp.UnaryExpr():
            parts = [node.expr]
        case pp.AggregateExpr() if str(node.op) == "sum":
            parts = [node.expr]
        case pp.Call() if node.func.name in _PASS_THROUGH:
            parts = [node.args[0]]
        case pp.Call() if node.func.name == "vector":
            parts = [node.args[0]]
        case pp.NumberLiteral() if node.val == 0:
            parts = []
        case pp.BinaryExpr():
            parts = _summands(node)
    if parts is None:
        return node
    return next((wrong for part in parts if (wrong := uncountable(part, is_leaf)) is not None), None)


def _summands(node: Any) -> list[Any] | None:
    """What must be linear for a binary expression to be; None when it cannot be."""
    match str(node.op):
        case "+" | "-" | "or":
            return [node.lhs, node.rhs]
        case "*" if _is_number(node.lhs):
            return [node.rhs]
        case "*" | "/" if _is_number(node.rhs):
            return [node.lhs]
    return None


def _is_number(node: Any) -> bool:
    return all(isinstance(n, pp.NumberLiteral | pp.ParenExpr | pp.UnaryExpr | pp.BinaryExpr) for n in every(node))


def one_line(tree: Any) -> str:
    """A tree printed without the printer's line breaks; what stands in quotes is left alone."""
    text = _SPACE.sub(lambda match: match["string"] or " ", tree.prettify()).strip()
    return _PADDING.sub(lambda match: match["string"] or match[0].strip(), text)
