"""The PromQL that SLIs are written in, evaluated over raw samples.

A query becomes a function of (store, moment). What is not understood here raises
OpaqueError with the reason: nothing is guessed. Understood are selectors, ranges and
offsets, increase and rate, …_over_time, sum, avg, min, max and count with by and without,
arithmetic, comparisons, `and`, `or`, `unless` with on and ignoring, clamps, abs, round and vector.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import promql_parser as pp

from monitoring.errors import OpaqueError
from monitoring.oracle.samples import Series, Store
from monitoring.promql import parse, selector_of

Labels = tuple[tuple[str, str], ...]
"""Sorted, without the metric's name."""

Vector = dict[Labels, float]
Value = float | Vector
"""A scalar or an instant vector."""

Evaluate = Callable[[Store, int], Value]


@lru_cache(maxsize=1024)
def compiled(query: str) -> Evaluate:
    """The query as a function of (store, moment in ms). Raises PromqlError, OpaqueError."""
    return _compile(parse(query))


def value_of(query: str, store: Store, now_ms: int) -> float | None:
    """The one value without labels that an SLI's query gives; None when it gives none.

    Raises OpaqueError when it is not understood, or gives several values.
    """
    found = compiled(query)(store, now_ms)
    if isinstance(found, float):
        return found
    if len(found) > 1 or any(labels for labels in found):
        raise OpaqueError(f"it gives more than one value without labels: {query}")
    return found.get(())


def rounded(value: float, nearest: float) -> float:
    """Prometheus' round(): halves go up."""
    inverse = 1 / nearest
    return math.floor(value * inverse + 0.5) / inverse


def _quotient(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_SETS = ("and", "or", "unless")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _count(values: Sequence[float]) -> float:
    return float(len(values))


_AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "avg": _mean,
    "min": min,
    "max": max,
    "count": _count,
}
_OVER_TIME: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum_over_time": math.fsum,
    "avg_over_time": lambda values: math.fsum(values) / len(values),
    "min_over_time": min,
    "max_over_time": max,
    "count_over_time": _count,
    "last_over_time": lambda values: values[-1],
}
_RANGES = ("increase", "rate", *_OVER_TIME)
_NUMERIC: Mapping[str, Callable[..., float]] = {
    "clamp_min": max,
    "clamp_max": min,
    "clamp": lambda value, low, high: max(low, min(high, value)),
    "abs": abs,
    "round": lambda value, nearest=1.0: rounded(value, nearest),
}


def _compile(node: pp.Expr) -> Evaluate:
    match node:
        case pp.NumberLiteral():
            number = float(node.val)
            return lambda _store, _now_ms: number
        case pp.ParenExpr():
            return _compile(node.expr)
        case pp.UnaryExpr():
            inner = _compile(node.expr)
            return lambda store, now_ms: _each(inner(store, now_ms), operator.neg)
        case pp.VectorSelector():
            return _instant(node)
        case pp.AggregateExpr():
            return _aggregation(node)
        case pp.BinaryExpr():
            return _binary(node)
        case pp.Call():
            return _call(node)
    raise OpaqueError(f"{type(node).__name__} is not understood")


def _each(value: Value, apply: Callable[[float], float]) -> Value:
    return {labels: apply(one) for labels, one in value.items()} if isinstance(value, dict) else apply(value)


def _milliseconds(length: timedelta | None) -> int:
    return round(length.total_seconds() * 1000) if length else 0


def _label_set(series: Series) -> Labels:
    return tuple(sorted((name, value) for name, value in series.labels.items() if value))


def _instant(node: Any) -> Evaluate:
    if node.at:
        raise OpaqueError("@ is not understood")
    selector, offset_ms = selector_of(node), _milliseconds(node.offset)

    def evaluate(store: Store, now_ms: int) -> Vector:
        found = ((_label_set(series), series.at(now_ms - offset_ms)) for series in store.select(selector))
        return {labels: value for labels, value in found if value is not None}

    return evaluate


def _call(node: Any) -> Evaluate:
    name, arguments = node.func.name, list(node.args)
    if name in _RANGES and len(arguments) == 1 and isinstance(arguments[0], pp.MatrixSelector):
        return _range(name, arguments[0])
    if name == "vector" and len(arguments) == 1:
        inner = _compile(arguments[0])
        return lambda store, now_ms: {(): _scalar(inner(store, now_ms))}
    if name in _NUMERIC:
        apply, subject, *others = _NUMERIC[name], *map(_compile, arguments)

        def evaluate(store: Store, now_ms: int) -> Value:
            limits = [_scalar(other(store, now_ms)) for other in others]
            return _each(subject(store, now_ms), lambda value: apply(value, *limits))

        return evaluate
    raise OpaqueError(f"{name} over what it is given is not understood")


def _scalar(value: Value) -> float:
    if isinstance(value, dict):
        raise OpaqueError("a scalar was expected where a vector stands")
    return value


def _range(name: str, node: Any) -> Evaluate:
    vector = node.vector_selector
    if vector.at:
        raise OpaqueError("@ is not understood")
    selector, offset_ms, range_ms = selector_of(vector), _milliseconds(vector.offset), _milliseconds(node.range)

    def one(series: Series, now_ms: int) -> float | None:
        end_ms = now_ms - offset_ms
        if name in _OVER_TIME:
            values = series.values(end_ms - range_ms, end_ms)
            return _OVER_TIME[name](values) if values else None
        grown = series.increase(end_ms - range_ms, end_ms)
        return grown if grown is None or name == "increase" else grown / (range_ms / 1000)

    def evaluate(store: Store, now_ms: int) -> Vector:
        found = ((_label_set(series), one(series, now_ms)) for series in store.select(selector))
        return {labels: value for labels, value in found if value is not None}

    return evaluate


def _aggregation(node: Any) -> Evaluate:
    apply = _AGGREGATIONS.get(str(node.op))
    if apply is None or node.param is not None:
        raise OpaqueError(f"the aggregation {node.op} is not understood")
    inner = _compile(node.expr)
    kept = _kept(node.modifier.labels, by=str(node.modifier.type).endswith("By")) if node.modifier else lambda _: ()

    def evaluate(store: Store, now_ms: int) -> Vector:
        groups: dict[Labels, list[float]] = {}
        value = inner(store, now_ms)
        if not isinstance(value, dict):
            raise OpaqueError("an aggregation of a scalar")
        for labels, one in value.items():
            groups.setdefault(kept(labels), []).append(one)
        return {labels: apply(values) for labels, values in groups.items()}

    return evaluate


def _kept(names: Sequence[str], *, by: bool) -> Callable[[Labels], Labels]:
    """Labels cut down to those named (by, on), or to all others (without, ignoring)."""
    named = frozenset(names)
    return lambda labels: tuple(pair for pair in labels if (pair[0] in named) == by)


def _binary(node: Any) -> Evaluate:
    symbol, modifier = str(node.op), node.modifier
    left, right = _compile(node.lhs), _compile(node.rhs)
    if modifier and str(modifier.card).rsplit(".", 1)[-1] not in ("OneToOne", "ManyToMany"):
        raise OpaqueError("group_left and group_right are not understood")
    matching = modifier.matching if modifier else None
    key: Callable[[Labels], Labels] = (
        _kept(matching.labels, by=str(matching.type).endswith("Include")) if matching else lambda labels: labels
    )
    as_bool = bool(modifier and modifier.return_bool)
    if symbol in _SETS:
        return lambda store, now_ms: _set(symbol, left(store, now_ms), right(store, now_ms), key)
    apply = _operation(symbol, as_bool)
    # The result of a match on some labels keeps only those; a filter keeps its left side whole in this version,
    # except for the name, and so does everything without on and ignoring.
    return lambda store, now_ms: _combined(apply, left(store, now_ms), right(store, now_ms), key)


def _operation(symbol: str, as_bool: bool) -> Callable[[float, float, bool], float | None]:
    """Of both sides, and whether the right one is the vector that a comparison keeps; None drops the sample."""
    if symbol in _ARITHMETIC:
        compute = _ARITHMETIC[symbol]
        return lambda left, right, _keep_right: compute(left, right)
    if symbol not in _COMPARISONS:
        raise OpaqueError(f"the operator {symbol} is not understood")
    compare = _COMPARISONS[symbol]
    if as_bool:
        return lambda left, right, _keep_right: float(compare(left, right))
    return lambda left, right, keep_right: (right if keep_right else left) if compare(left, right) else None


def _combined(
    apply: Callable[[float, float, bool], float | None],
    left: Value,
    right: Value,
    key: Callable[[Labels], Labels],
) -> Value:
    pairs: list[tuple[Labels, float | None]]
    if isinstance(left, dict) and isinstance(right, dict):
        others = _by_key(right, key)
        mine = _by_key(left, key)
        pairs = [(labels, apply(one, others[labels], False)) for labels, one in mine.items() if labels in others]
    elif isinstance(left, dict):
        number = _scalar(right)
        pairs = [(labels, apply(one, number, False)) for labels, one in left.items()]
    elif isinstance(right, dict):
        number = left
        pairs = [(labels, apply(number, one, True)) for labels, one in right.items()]
    else:
        both = apply(left, right, False)
        if both is None:
            raise OpaqueError("a comparison of scalars needs bool")
        return both
    return {labels: value for labels, value in pairs if value is not None}


def _by_key(vector: Vector, key: Callable[[Labels], Labels]) -> Vector:
    found: Vector = {}
    for labels, value in vector.items():
        if key(labels) in found:
            raise OpaqueError("several series match one; Prometheus would refuse that")
        found[key(labels)] = value
    return found


def _set(symbol: str, left: Value, right: Value, key: Callable[[Labels], Labels]) -> Vector:
    if not isinstance(left, dict) or not isinstance(right, dict):
        raise OpaqueError(f"{symbol} of a scalar")
    if symbol == "or":
        mine = {key(labels) for labels in left}
        return left | {labels: value for labels, value in right.items() if key(labels) not in mine}
    others = {key(labels) for labels in right}
    return {labels: value for labels, value in left.items() if (key(labels) in others) == (symbol == "and")}
