"""Whether the unit of a panel is that of what its queries compute, as far as names tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as pp

from monitoring.lint.asked import queries
from monitoring.lint.expand import MARK
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, mapping, sequence, text
from monitoring.lint.series import operator, walk

RULES = Rules()

_TIME = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS_SHOWN = frozenset({"s", "dtdurations", "clocks", "timeticks", "dthms"})
_BYTES = frozenset({"bytes", "decbytes"})
_BITS = frozenset({"bits", "decbits"})
_BYTE_RATES = frozenset({"Bps", "binBps"})
_BIT_RATES = frozenset({"bps", "binbps"})
_EVENT_RATES = frozenset({"reqps", "ops", "rps", "wps", "iops", "cps", "eps", "mps"})
_KEEPING = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile", "stddev"})
_SAME = frozenset({
    "abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "avg_over_time",
    "min_over_time", "max_over_time", "last_over_time", "quantile_over_time", "delta", "idelta", "label_replace",
    "label_join",
})  # fmt: skip
_RATES = frozenset({"rate", "irate"})


@dataclass(frozen=True)
class Quantity:
    """What a number counts ("s", "B", "ratio", "1"), a second or not, and the factor it was multiplied by."""

    of: str
    per_second: bool = False
    factor: float = 1.0


def quantity_of(tree: Any) -> Quantity | None:
    """What an expression computes; None where its names and operators do not tell for certain."""
    match tree:
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            return quantity_of(tree.expr)
        case pp.VectorSelector():
            return _of_name(tree.name or "")
        case pp.MatrixSelector():
            return quantity_of(tree.vector_selector)
        case pp.AggregateExpr():
            if operator(tree) in ("count", "group"):
                return Quantity("1")
            return quantity_of(tree.expr) if operator(tree) in _KEEPING else None
        case pp.Call():
            return _of_call(tree)
        case pp.BinaryExpr():
            return _of_operator(tree)
    return None


def _of_name(name: str) -> Quantity | None:
    if MARK in name or ":" in name or not name:
        return None
    base = name
    for part in ("_total", "_sum"):
        base = base.removesuffix(part)
    if base.endswith("_timestamp_seconds"):
        return None
    if name.endswith(("_count",)):
        return Quantity("1")
    if name.endswith("_bucket"):
        # Its count, not what it measures; a quantile knows better.
        return Quantity("1")
    for suffix, of in (("_seconds", "s"), ("_bytes", "B"), ("_ratio", "ratio")):
        if base.endswith(suffix):
            return Quantity(of)
    return Quantity("1") if name.endswith("_total") else None


def _of_call(tree: Any) -> Quantity | None:
    name = tree.func.name
    if name == "histogram_quantile" and len(tree.args) == 2:
        measured = {_measured(n) for n in _selectors(tree.args[1])}
        return measured.pop() if len(measured) == 1 else None
    if not tree.args:
        return None
    inner = next((a for a in tree.args if not isinstance(a, pp.NumberLiteral | pp.StringLiteral)), None)
    found = quantity_of(inner) if inner is not None else None
    if found is None:
        return None
    if name in _RATES:
        return None if found.per_second else Quantity(found.of, True, found.factor)
    return found if name in _SAME or name == "increase" else None


def _selectors(tree: Any) -> Iterator[str]:
    return (n.name or "" for n, _ in walk(tree) if isinstance(n, pp.VectorSelector))


def _measured(name: str) -> Quantity | None:
    return _of_name(name.removesuffix("_bucket"))


def _number(tree: Any) -> float | None:
    while isinstance(tree, pp.ParenExpr):
        tree = tree.expr
    return float(tree.val) if isinstance(tree, pp.NumberLiteral) else None


def _of_operator(tree: Any) -> Quantity | None:
    kind, left, right = operator(tree), quantity_of(tree.lhs), quantity_of(tree.rhs)
    n, m = _number(tree.lhs), _number(tree.rhs)
    if kind in ("*", "/") and m is not None and left and m != 0:
        return Quantity(left.of, left.per_second, left.factor * m if kind == "*" else left.factor / m)
    if kind == "*" and n is not None and right:
        return Quantity(right.of, right.per_second, right.factor * n)
    if kind == "-" and n is not None and right and right.of == "ratio" and n == right.factor:
        return right  # what is left of the whole
    if kind in ("+", "-") and left and right:
        return left if left == right else None
    if kind in ("and", "unless"):
        return left
    if kind == "or":
        return left if left == right or right is None else None
    if kind == "/" and left and right and (left.factor, right.factor) == (1.0, 1.0):
        if (left.of, left.per_second) == (right.of, right.per_second):
            return Quantity("ratio")
        if right.of == "1" and left.per_second == right.per_second:
            return Quantity(left.of)
    if kind in ("==", "!=", ">", "<", ">=", "<=") and m is not None and tree.modifier is None:
        return left
    return None


@RULES.rule(
    "unit-meaning", Severity.WARNING, "The number is right and what is written behind it is not, so it is read wrongly."
)
def meaning(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Units that are certainly not those of what is computed."""
    for one, expanded, target in queries(board):
        panel = target.panel
        unit = text(panel.defaults.get("unit"))
        if not unit or _has_own_units(panel.overrides) or panel.type in ("table", "heatmap"):
            continue
        found = quantity_of(expanded.tree)
        if found and (why := _contradicts(found, unit)):
            yield Hit(one.pointer, f"{why}, and is shown as {unit}")


def _has_own_units(overrides: Any) -> bool:
    return any(mapping(p).get("id") == "unit" for _, one in overrides for p in sequence(one.get("properties")))


def _contradicts(found: Quantity, unit: str) -> str | None:
    """What is computed, when the unit says another thing."""
    factor = found.factor
    if found.of == "s" and not found.per_second and unit in _TIME:
        shown = _TIME[unit]
        return None if abs(factor * shown - 1) < 0.01 else f"seconds × {factor:g}" if factor != 1 else "in seconds"
    if (
        found.of == "s"
        and not found.per_second
        and factor == 1
        and unit in _BYTES | _BITS | _BYTE_RATES | {"percent", "percentunit", "reqps", "ops"}
    ):
        return "in seconds"
    if found.of == "s" and found.per_second and factor == 1 and unit in _TIME:
        return "seconds per second, a share of time"
    if (
        found.of == "B"
        and not found.per_second
        and factor == 1
        and unit in _BITS | _BIT_RATES | _BYTE_RATES | set(_TIME) | {"percent", "percentunit"}
    ):
        return "in bytes"
    if (
        found.of == "B"
        and found.per_second
        and factor == 1
        and unit in _BITS | _BIT_RATES | set(_TIME) | {"percent", "percentunit"}
    ):
        return "bytes per second"
    if found.of == "B" and found.per_second and factor == 8 and unit in _BYTE_RATES | _BYTES:
        return "bits per second"
    if found.of == "ratio" and unit == "percent" and factor == 1:
        return "a share of 0 to 1"
    if found.of == "ratio" and unit == "percentunit" and factor == 100:
        return "a percentage of 0 to 100"
    if found.of == "ratio" and factor == 1 and unit in _BYTES | _BITS | set(_TIME):
        return "a share"
    if found.of == "1" and not found.per_second and factor == 1 and unit in _EVENT_RATES:
        return "a count, not a rate"
    if (
        found.of == "1"
        and found.per_second
        and factor == 1
        and unit in _SECONDS_SHOWN | _BYTES | _BITS | {"ms", "percent", "percentunit"}
    ):
        return "events per second"
    return None
