"""A query as someone wrote it, turned into one that our rules can fill with a window.

Specs say what is counted in four ways, and all end as a `Query`:

- A counter, or sums and differences of counters, without a range: each gets `increase`.
- Gauges without a range that hold a number of events per scrape: each gets `sum_over_time`.
- A query with a placeholder for the range, as sloth has it: `rate(x[{{.window}}])`.
- A query with ranges written out, `rate(x[5m])`: they stand for the window.

`rate` becomes `increase`, since events are what is counted. A query that may give several
series is summed. Whatever cannot be counted is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import promql_parser as pp

from monitoring import goregex
from monitoring.errors import PromqlError
from monitoring.promql import Selector, is_counter, parse, plain_selector, uses
from monitoring.spec import trees
from monitoring.spec.model import WINDOW, Query

MAX_LENGTH = 20_000
MAX_DEPTH = 100
"""Far below what any query may have, since a rule holds several of them."""

Say = Callable[[str], None]
"""Takes a remark on a query."""

_MARK = "373d1h1m1s7ms"
"""Stands for the window while a query is a syntax tree; no one asks for this range."""

_PLACEHOLDER = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)"""
    r"""|(?P<comment>\#[^\n]*)"""
    r"""|\[\s*(?:\{\{\s*-?\s*\.?\w+\s*-?\s*\}\}|\$\w+|\$\{\w+\})\s*(?=[\]:])"""
)
_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

# The parser knows newer Prometheus than the 2.42 that rules must load into.
_TOO_NEW = frozenset(
    """histogram_avg histogram_stddev histogram_stdvar histogram_quantiles sort_by_label sort_by_label_desc
    mad_over_time info double_exponential_smoothing first_over_time ts_of_max_over_time ts_of_min_over_time
    ts_of_last_over_time ts_of_first_over_time fill limitk limit_ratio""".split()  # noqa: SIM905  a list of words
)
_INSTANT_DELTAS = frozenset(("irate", "idelta"))


@dataclass(frozen=True)
class Written:
    """A query that parses, whose result is a vector, and that names its metrics."""

    tree: Any
    has_placeholder: bool
    has_range: bool
    selectors: tuple[Selector, ...]

    @property
    def text(self) -> str:
        """As it is printed."""
        plain = self.plain
        return str(plain) if plain else trees.one_line(self.tree)

    @property
    def plain(self) -> Selector | None:
        """The selector, when the query is nothing else."""
        return plain_selector(self.tree)


def read(text: str) -> Written:
    """Read a query. Raises PromqlError with what is wrong with it."""
    if len(text) > MAX_LENGTH:
        raise PromqlError(f"a query of more than {MAX_LENGTH} characters")
    if _MARK in text:
        raise PromqlError(f"{_MARK} is our own mark for a window; write another range")
    marked, found = _marked(text)
    try:
        tree = parse(marked, MAX_DEPTH)
    except PromqlError as error:
        raise PromqlError(str(error).replace(_MARK, WINDOW)) from error
    _check_names(tree)
    kind = trees.value_type(tree)
    if kind != "vector":
        raise PromqlError(f"expected a query that gives a vector of values, this one gives a {kind}: {_short(text)}")
    selectors = tuple(dict.fromkeys(use.selector for use in uses(marked)))
    if not selectors:
        raise PromqlError(f"this query reads no metric: {_short(text)}")
    return Written(tree, found, any(trees.outer_ranges(tree)), selectors)


def events(written: Written, counter: bool | None, doubt: Say, warn: Say) -> Query:
    """The number of events in a window.

    `counter` is what the spec says of the metric; None leaves it to the metric's name.
    Raises PromqlError for what cannot be counted.
    """
    if written.has_range:
        return _query(_summed(_windowed(written, doubt, counts=True)), written)
    counting = _counting(written, counter, doubt, warn)
    if selector := written.plain:
        return _query(f"sum({counting}({selector}[{_MARK}]))", written)
    wrong = trees.uncountable(written.tree, lambda node: isinstance(node, pp.VectorSelector))
    if wrong is not None:
        raise PromqlError(
            f"{_short(wrong.prettify())} cannot be counted over a window by adding {counting}; write the range "
            f"yourself, as in sum({counting}(x[5m])), where 5m stands for any window"
        )
    return _query(_summed(_wrapped(written.tree, counting)), written)


def ratio(written: Written, inverted: bool, doubt: Say, warn: Say) -> Query:
    """A ratio over a window from a query with ranges; `inverted` takes it from 1."""
    tree = _windowed(written, doubt, counts=False)
    if trees.has_labels(tree):
        warn("this ratio may have several series; the plain mean of them is taken, busy or quiet")
    text = _label_free(tree, "avg")
    return _query(f"1 - ({text})" if inverted else text, written)


def moment(written: Written) -> str:
    """The query as it judges one moment. Raises PromqlError for one that leaves its range open."""
    if written.has_placeholder:
        raise PromqlError("this metric is judged moment by moment; write a range of its own in place of the window")
    return written.text


def may_be_nan(tree: Any) -> bool:
    """Whether a query can give NaN where there is nothing to divide or to take a quantile of."""
    return any(
        (isinstance(node, pp.BinaryExpr) and str(node.op) in ("/", "%"))
        or (isinstance(node, pp.Call) and ("quantile" in node.func.name or node.func.name == "histogram_fraction"))
        for node in trees.every(tree)
    )


def label_free(text: str, tree: Any) -> str:
    """A query's text, averaged when it may give several series."""
    return f"avg({text})" if trees.has_labels(tree) else text


def samples(selector: Selector) -> tuple[Query, Query]:
    """Of a gauge between 0 and 1: the number of samples in a window, and the sum of them."""
    return (
        Query(f"sum(count_over_time({selector}[{WINDOW}]))", (selector,)),
        Query(f"sum(sum_over_time({selector}[{WINDOW}]))", (selector,)),
    )


def increase(selector: Selector) -> Query:
    """How much a counter grew in a window."""
    return Query(f"sum(increase({selector}[{WINDOW}]))", (selector,))


def _marked(text: str) -> tuple[str, bool]:
    """The text with its placeholders for a range marked, and whether there were any."""
    found = False

    def mark(match: re.Match[str]) -> str:
        nonlocal found
        if string := match["string"]:
            if _TEMPLATE.search(string):
                raise PromqlError(f"a placeholder may only stand for a range, not in the text {string}")
            return string
        if match["comment"]:
            return ""
        found = True
        return f"[{_MARK}"

    marked = _PLACEHOLDER.sub(mark, text)
    return marked, found


def _check_names(tree: Any) -> None:
    for node in trees.every(tree):
        match node:
            case pp.VectorSelector():
                if not node.name or not _NAME.fullmatch(node.name):
                    raise PromqlError(f"expected the name of one metric, found {node.prettify()}")
                if node.at:
                    raise PromqlError(f"a fixed time cannot be evaluated again and again: {node.prettify()}")
                if strange := [m.name for m in node.matchers.matchers if not _NAME.fullmatch(m.name)]:
                    raise PromqlError(f"{strange[0]!r} is no label's name for Prometheus 2.42: {node.prettify()}")
                for matcher in node.matchers.matchers:
                    if str(matcher.op).endswith("Re") and (wrong := goregex.problem(matcher.value)):
                        raise PromqlError(f"Prometheus takes no such regular expression: {wrong}: {node.prettify()}")
                if node.matchers.or_matchers:
                    raise PromqlError(f"'or' between matchers is not PromQL: {node.prettify()}")
            case pp.SubqueryExpr():
                if node.at:
                    raise PromqlError(f"a fixed time cannot be evaluated again and again: {_short(node.prettify())}")
            case pp.BinaryExpr() if node.modifier and _fills(node.modifier):
                _check_age("fill")
            case pp.Call():
                _check_age(node.func.name)
            case pp.AggregateExpr():
                _check_age(str(node.op))
                labels = node.modifier.labels if node.modifier else ()
                if odd := [label for label in labels if not _NAME.fullmatch(label)]:
                    raise PromqlError(f"{odd[0]!r} is no label's name for Prometheus 2.42: {_short(node.prettify())}")


def _fills(modifier: Any) -> bool:
    return (modifier.fill_values.lhs, modifier.fill_values.rhs) != (None, None)


def _check_age(name: str) -> None:
    if name in _TOO_NEW:
        raise PromqlError(f"{name} is not known to Prometheus 2.42")


def _label_free(tree: Any, aggregation: str) -> str:
    text = trees.one_line(tree)
    return f"{aggregation}({text})" if trees.has_labels(tree) else text


def _summed(tree: Any) -> str:
    """One value, in one piece: rules subtract, divide and compare it, which binds tighter than an `or` within."""
    text = _label_free(tree, "sum")
    in_pieces = isinstance(tree, pp.BinaryExpr | pp.UnaryExpr) and not trees.has_labels(tree)
    return f"({text})" if in_pieces else text


def _query(marked: str, written: Written) -> Query:
    """The template; in it only our own mark can stand for a window."""
    text = marked.replace(f"[{_MARK}]", f"[{WINDOW}]").replace(f"[{_MARK}:", f"[{WINDOW}:")
    return Query(text, written.selectors)


def _counting(written: Written, counter: bool | None, doubt: Say, warn: Say) -> str:
    """The function that counts events in samples of these metrics."""
    names = sorted({selector.name for selector in written.selectors})
    counters = [name for name in names if is_counter(name)]
    if counter is None:
        counter = bool(counters)
    if counter and len(counters) < len(names):
        others = ", ".join(name for name in names if name not in counters)
        warn(f"{others}: no counter by its name (_total, _count, _bucket), but read as one")
    if not counter and counters:
        doubt(f"{', '.join(counters)}: a counter by its name, whose samples mean nothing when added up")
    return "increase" if counter else "sum_over_time"


def _wrapped(tree: Any, function: str) -> Any:
    def wrap(node: Any) -> Any:
        return pp.parse(_ranged(node, function)) if isinstance(node, pp.VectorSelector) else None

    return pp.transform(tree, post_visit=wrap)


def _ranged(selector: Any, function: str) -> str:
    if selector.offset:
        raise PromqlError(f"an offset needs a range: {selector.prettify()}")
    return f"{function}({selector.prettify()}[{_MARK}])"


def _windowed(written: Written, doubt: Say, counts: bool) -> Any:
    """The tree with the window in place of its ranges; with `counts`, rates become increases.

    Where a placeholder is written, only that is the window. Otherwise each outermost range is.
    """
    _check_ranges(written, doubt, counts)
    rename = counts and _may_rename(written, doubt)
    depth = 0

    def enter(node: Any) -> None:
        nonlocal depth
        depth += isinstance(node, pp.SubqueryExpr)

    def leave(node: Any) -> Any:
        nonlocal depth
        match node:
            case pp.SubqueryExpr():
                depth -= 1
                return _with_mark(node, ":") if depth == 0 and not written.has_placeholder else None
            case pp.MatrixSelector():
                return _with_mark(node, "]") if depth == 0 and not written.has_placeholder else None
            case pp.Call() if rename and depth == 0 and node.func.name == "rate" and _is_window(node.args[0]):
                return pp.parse(f"increase({node.args[0].prettify()})")
        return None

    return pp.transform(written.tree, pre_visit=enter, post_visit=leave)


def _is_window(node: Any) -> bool:
    return pp.display_duration(node.range) == _MARK


def _with_mark(node: Any, end: str) -> Any:
    # The range is the last thing in brackets; matchers and an offset come before and after it.
    head, _, tail = node.prettify().rpartition(f"[{pp.display_duration(node.range)}{end}")
    return pp.parse(f"{head}[{_MARK}{end}{tail}")


def _check_ranges(written: Written, doubt: Say, counts: bool) -> None:
    calls = [node for node in trees.every(written.tree) if isinstance(node, pp.Call)]
    if hasty := next((call for call in calls if call.func.name in _INSTANT_DELTAS), None):
        raise PromqlError(
            f"{hasty.func.name} looks at two samples only, whatever its window; use rate: {_short(hasty.prettify())}"
        )
    for call in calls:
        if call.func.name in ("rate", "increase") and isinstance(call.args[0], pp.SubqueryExpr):
            doubt(f"{call.func.name} of a sum misses the resets of its counters: {_short(call.prettify())}")
    ranges = {pp.display_duration(node.range) for node in trees.outer_ranges(written.tree)}
    if not written.has_placeholder and len(ranges) > 1:
        doubt(f"the ranges {', '.join(sorted(ranges))} all stand for one window")
    if written.has_placeholder and counts and _MARK not in ranges:
        doubt("the window stands inside a subquery whose own range does not change with it")


def _may_rename(written: Written, doubt: Say) -> bool:
    """Whether turning each rate into an increase only changes the unit of the result."""

    def is_rate(node: Any) -> bool:
        return (
            isinstance(node, pp.Call)
            and node.func.name == "rate"
            and (not written.has_placeholder or _is_window(node.args[0]))
        )

    def is_leaf(node: Any) -> bool:
        return is_rate(node) or not any(map(is_rate, trees.outside_subqueries(node)))

    if not any(map(is_rate, trees.outside_subqueries(written.tree))):
        return False
    wrong = trees.uncountable(written.tree, is_leaf)
    if wrong is None:
        return True
    doubt(f"no number of events: {_short(wrong.prettify())} depends on a rate in another way than by sums")
    return False


def _short(text: str) -> str:
    one_line = " ".join(text.replace(_MARK, WINDOW).split())
    return one_line if len(one_line) <= 120 else f"{one_line[:117]}…"
