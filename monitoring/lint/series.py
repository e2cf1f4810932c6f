"""Which labels the series of an expression have, as far as the expression itself tells.

Three answers are possible for a label: it is there, it is not, nobody knows. Only what is
certain is ever told as wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as pp

from monitoring.lint.expand import MARK

NAME = "__name__"

_KEEPS_NAME = frozenset(
    {"last_over_time", "first_over_time", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc"}
)
_NO_LABELS = frozenset({"vector", "time", "scalar", "pi"})
_PICKING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_SETS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True)
class Labels:
    """`closed`: exactly `names` and no others; else others may be there, but never those of `without`."""

    closed: bool
    names: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def has(self, label: str) -> bool | None:
        """Whether the label is there; None when nobody knows."""
        if label.startswith(MARK) or any(name.startswith(MARK) for name in self.names):
            return None
        if label in self.names:
            return True
        return False if self.closed or label in self.without else None

    def less(self, labels: frozenset[str]) -> Labels:
        """Without some."""
        return Labels(self.closed, self.names - labels, self.without | labels)

    def more(self, labels: frozenset[str]) -> Labels:
        """With some more."""
        return Labels(self.closed, self.names | labels, self.without - labels)

    @property
    def is_single(self) -> bool:
        """Whether it is one series at most."""
        return self.closed and not self.names


SINGLE = Labels(closed=True)


def labels_of(tree: Any) -> Labels:
    """The labels of an expression's series."""
    match tree:
        case pp.VectorSelector():
            name = tree.name or ""
            # Only buckets have bounds.
            bare = name.endswith(("_sum", "_count", "_total")) and ":" not in name
            return Labels(closed=False, names=frozenset({NAME}), without=frozenset({"le"} if bare else ()))
        case pp.MatrixSelector():
            return labels_of(tree.vector_selector)
        case pp.SubqueryExpr() | pp.ParenExpr():
            return labels_of(tree.expr)
        case pp.UnaryExpr():
            return labels_of(tree.expr).less(frozenset({NAME}))
        case pp.Call():
            return _call(tree)
        case pp.AggregateExpr():
            return _aggregate(tree)
        case pp.BinaryExpr():
            return _binary(tree)
    return SINGLE


def _call(tree: Any) -> Labels:
    name = tree.func.name
    if name in _NO_LABELS:
        return SINGLE
    if name in ("absent", "absent_over_time"):
        return Labels(closed=False, without=frozenset({NAME}))
    inner = next((a for a in tree.args if not isinstance(a, pp.NumberLiteral | pp.StringLiteral)), None)
    if inner is None:
        # Without an argument days and hours are those of now.
        return SINGLE
    labels = labels_of(inner)
    if name in ("label_replace", "label_join"):
        made = tree.args[1]
        return labels.more(frozenset({made.val})) if isinstance(made, pp.StringLiteral) else Labels(closed=False)
    if name == "info":
        return Labels(closed=False)
    if name in _KEEPS_NAME:
        return labels
    if name == "histogram_quantile":
        labels = labels_of(tree.args[-1]).less(frozenset({"le"}))
    return labels.less(frozenset({NAME}))


def grouping(tree: Any) -> tuple[bool, frozenset[str]]:
    """Of an aggregation: whether it keeps what it names, and what it names; (True, ∅) without any."""
    if tree.modifier is None:
        return True, frozenset()
    return "By" in str(tree.modifier.type), frozenset(tree.modifier.labels)


def operator(tree: Any) -> str:
    """The operator of an aggregation or of two sides: `sum`, `+`, `and`."""
    return str(tree.op)


def _aggregate(tree: Any) -> Labels:
    inner = labels_of(tree.expr)
    kind = operator(tree)
    if kind in _PICKING:
        return inner
    keeps, named = grouping(tree)
    if keeps:
        if any(label.startswith(MARK) for label in named):
            return Labels(closed=False, names=named, without=frozenset())
        kept = frozenset(label for label in named if inner.has(label) is not False)
        labels = Labels(closed=True, names=kept)
    else:
        labels = inner.less(named | {NAME})
    if kind == "count_values" and isinstance(tree.param, pp.StringLiteral):
        labels = labels.more(frozenset({tree.param.val}))
    return labels


def matching(tree: Any) -> tuple[str | None, frozenset[str], str, frozenset[str]]:
    """Of two sides: on/ignoring/None, the labels it names, group_left/group_right/"", the labels that come along."""
    modifier = tree.modifier
    if modifier is None:
        return None, frozenset(), "", frozenset()
    found = modifier.matching
    how = None if found is None else ("on" if "Include" in str(found.type) else "ignoring")
    named = frozenset() if found is None else frozenset(found.labels)
    card = str(modifier.card)
    side = "group_left" if "ManyToOne" in card else "group_right" if "OneToMany" in card else ""
    return how, named, side, frozenset(modifier.group_labels or ())


def is_scalar(tree: Any) -> bool:
    """Whether it is a number and no vector."""
    match tree:
        case pp.NumberLiteral():
            return True
        case pp.ParenExpr() | pp.UnaryExpr():
            return is_scalar(tree.expr)
        case pp.Call():
            return tree.func.name in ("scalar", "time", "pi")
        case pp.BinaryExpr():
            return is_scalar(tree.lhs) and is_scalar(tree.rhs)
    return False


def _binary(tree: Any) -> Labels:
    left, right = labels_of(tree.lhs), labels_of(tree.rhs)
    kind = operator(tree)
    compares = kind in ("==", "!=", ">", "<", ">=", "<=")
    keeps_name = kind in _SETS or (compares and not _returns_bool(tree))
    less = frozenset() if keeps_name else frozenset({NAME})
    if is_scalar(tree.rhs):
        return left.less(less)
    if is_scalar(tree.lhs):
        return right.less(less)
    if kind in ("and", "unless"):
        return left
    if kind == "or":
        return Labels(left.closed and right.closed, left.names | right.names, left.without & right.without)
    how, named, side, extra = matching(tree)
    if side:
        many = left if side == "group_left" else right
        return many.less(less).more(extra)
    if how == "on":
        kept = frozenset(label for label in named if left.has(label) is not False or right.has(label) is not False)
        if any(label.startswith(MARK) for label in named):
            return Labels(closed=False)
        return Labels(closed=True, names=kept)
    if how == "ignoring":
        return left.less(named | less)
    if right.closed and not left.closed:
        # They only match where both have the same.
        return right.less(less)
    return left.less(less)


def _returns_bool(tree: Any) -> bool:
    return tree.modifier is not None and bool(tree.modifier.return_bool)


def children(tree: Any) -> Iterator[Any]:
    """What an expression is made of."""
    match tree:
        case pp.Call():
            yield from tree.args
        case pp.AggregateExpr():
            yield tree.expr
            if tree.param is not None:
                yield tree.param
        case pp.BinaryExpr():
            yield tree.lhs
            yield tree.rhs
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            yield tree.expr
        case pp.MatrixSelector():
            yield tree.vector_selector


def walk(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node with those above it, the outermost first."""
    yield tree, above
    for child in children(tree):
        yield from walk(child, (*above, tree))
