"""Whether a query means something: rates of what only grows, quantiles of buckets, metrics that exist.

Without `--metrics` a series' kind follows from its name, and only where the convention
leaves no doubt. With it, from what Prometheus or the exposition says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as pp

from monitoring.lint.asked import asked, queries
from monitoring.lint.expand import MARK
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.queries import RATES
from monitoring.lint.read import Dashboard
from monitoring.lint.registry import meant
from monitoring.lint.series import grouping, labels_of, operator, walk

RULES = Rules()

_GAUGE_NAMES = re.compile(
    r"up|ALERTS|go_goroutines|go_threads|process_open_fds|process_max_fds|process_resident_memory_bytes|"
    r"process_virtual_memory_bytes|process_start_time_seconds|node_load\d+|node_memory_\w+_bytes|"
    r"\w*(?:_info|_ratio|_celsius|_percent|_timestamp_seconds|_queue_length|_queue_size|_in_flight|_utilization|"
    r"_temperature|_connections_active|_active_connections|_open_connections|_goroutines|_heap_alloc_bytes|"
    r"_resident_memory_bytes|_size_bytes|_free_bytes|_avail_bytes|_used_bytes|_limit_bytes|_current)"
)
"""Names that by convention are gauges, of metrics whose exporters keep to it."""
_TAKES_COUNTERS = RATES | {
    "resets", "changes", "absent_over_time", "count_over_time", "present_over_time",
    "last_over_time", "max_over_time", "min_over_time", "first_over_time", "timestamp", "absent",
    "double_exponential_smoothing", "holt_winters", "ts_of_last_over_time",
}  # fmt: skip
_READS_VALUES = frozenset({"delta", "idelta", "deriv", "predict_linear", "avg_over_time", "sum_over_time"})
_COUNTS_SERIES = frozenset({"count", "group", "count_values"})


def _kind(name: str, known: Known) -> tuple[str, bool]:
    """counter, gauge, histogram or unknown; and whether that was told, not guessed."""
    if known.metrics and (series := known.metrics.series(name)):
        return series.kind, True
    if not name or ":" in name or MARK in name:
        return "unknown", False
    if name.endswith(("_total", "_bucket")):
        return "counter", False
    return ("gauge", False) if _GAUGE_NAMES.fullmatch(name) else ("unknown", False)


@RULES.rule("query-rate-gauge", Severity.ERROR, "Every fall of a gauge looks like a restart, so the rate is invented.")
def rate_of_gauge(board: Dashboard, known: Known) -> Iterator[Hit]:
    """rate, irate and increase of what goes up and down."""
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            if not isinstance(node, pp.Call) or node.func.name not in RATES or not node.args:
                continue
            inner = _bare(node.args[0])
            if not isinstance(inner, pp.MatrixSelector):
                continue
            name = inner.vector_selector.name or ""
            kind, told = _kind(name, known)
            if kind == "gauge":
                how = "is a gauge" if told else "is a gauge by its name"
                severity = None if told else Severity.WARNING
                yield Hit(
                    one.pointer, f"{node.func.name} of {name}, which {how}; delta or deriv tell its change", severity
                )


@RULES.rule(
    "query-rate-of-aggregate",
    Severity.WARNING,
    "A restart of one of them is a fall of the sum; take the rate first, then add up.",
)
def rate_of_aggregate(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """rate, irate and increase over a subquery of a sum."""
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            if isinstance(node, pp.Call) and node.func.name in RATES and node.args:
                inner = _bare(node.args[0])
                of = _bare(inner.expr) if isinstance(inner, pp.SubqueryExpr) else None
                if isinstance(of, pp.AggregateExpr):
                    yield Hit(one.pointer, f"{node.func.name} of a {operator(of)}")
                elif isinstance(of, pp.Call) and of.func.name in RATES:
                    yield Hit(one.pointer, f"{node.func.name} of a {of.func.name}, which goes up and down")


@RULES.rule(
    "query-raw-counter",
    Severity.WARNING,
    "A counter tells how long the process has lived; its rate tells what happens now.",
)
def raw_counter(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Counters that no rate, increase or the like reads."""
    for one, expanded, _target in queries(board):
        for node, above in walk(expanded.tree):
            if not isinstance(node, pp.VectorSelector) or not node.name or not _is_read(above):
                continue
            kind, _told = _kind(node.name, known)
            if kind == "counter" and not node.name.endswith("_bucket") and not _is_fine(node, above):
                yield Hit(one.pointer, f"{node.name} is read without rate or increase")
                break


def _is_read(above: tuple[Any, ...]) -> bool:
    """Whether a selector's values themselves are looked at, and not only how they grow."""
    if not above or not isinstance(above[-1], pp.MatrixSelector):
        return True
    call = above[-2] if len(above) > 1 else None
    return isinstance(call, pp.Call) and call.func.name in _READS_VALUES


def _is_fine(node: Any, above: tuple[Any, ...]) -> bool:
    """Whether something around a counter makes sense of it."""
    inner = node
    for parent in reversed(above):
        match parent:
            case pp.Call() if parent.func.name in _TAKES_COUNTERS:
                return True
            case pp.AggregateExpr() if operator(parent) in _COUNTS_SERIES:
                return True
            case pp.BinaryExpr() if _compares(parent, inner):
                return True
        inner = parent
    return False


def _compares(parent: Any, side: Any) -> bool:
    """Whether an operator asks more of a counter than its height: a filter, a mean, an increase, ever or never."""
    kind, sides = operator(parent), (parent.lhs, parent.rhs)
    if kind in ("and", "unless"):
        return str(parent.rhs) == str(side)  # the parser makes a new object at each look
    if kind == "/":
        names = {_only_name(one) for one in sides}
        bases = {name.removesuffix("_sum").removesuffix("_count") for name in names if name}
        return len(names) == 2 and len(bases) == 1
    if kind == "-":
        return any(map(_has_offset, sides))
    return kind in ("==", "!=", ">", "<") and any(isinstance(one, pp.NumberLiteral) for one in sides)


def _only_name(tree: Any) -> str | None:
    names = {n.name for n, _ in walk(tree) if isinstance(n, pp.VectorSelector) and n.name}
    return names.pop() if len(names) == 1 else None


def _has_offset(tree: Any) -> bool:
    return any(isinstance(n, pp.VectorSelector) and n.offset is not None for n, _ in walk(tree))


def _bare(tree: Any) -> Any:
    while isinstance(tree, pp.ParenExpr):
        tree = tree.expr
    return tree


def _quantiles(board: Dashboard) -> Iterator[tuple[str, Any]]:
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            if isinstance(node, pp.Call) and node.func.name == "histogram_quantile" and len(node.args) == 2:
                yield one.pointer, node


def _is_native(tree: Any, known: Known) -> bool:
    """Whether every metric below is a native histogram, or may be one."""
    names = [n.name or "" for n, _ in walk(tree) if isinstance(n, pp.VectorSelector)]
    return bool(names) and all(
        MARK in name
        or ":" in name
        or not name
        or (not name.endswith("_bucket") and _kind(name, known)[0] in ("histogram", "unknown"))
        for name in names
    )


@RULES.rule("query-quantile-le", Severity.ERROR, "Without the label le there are no buckets, and no quantile.")
def quantile_le(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Quantiles of classic buckets whose bounds were added up."""
    for pointer, node in _quantiles(board):
        labels = labels_of(node.args[1])
        if labels.has("le") is False and not _is_native(node.args[1], known):
            yield Hit(pointer, "histogram_quantile of what has lost the label le; keep it: by (le, …)")


@RULES.rule("query-quantile-bucket", Severity.ERROR, "A sum or a count has no buckets to find a quantile in.")
def quantile_bucket(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Quantiles of a histogram's sum or count, or of another counter."""
    for pointer, node in _quantiles(board):
        names = [n.name or "" for n, _ in walk(node.args[1]) if isinstance(n, pp.VectorSelector)]
        for name in names:
            wrong = name.endswith(("_sum", "_count", "_total")) and ":" not in name
            if wrong or (
                known.metrics
                and _kind(name, known) in (("counter", True), ("gauge", True))
                and not name.endswith("_bucket")
            ):
                yield Hit(pointer, f"histogram_quantile of {name}, which has no buckets")
                break


@RULES.rule("query-quantile-range", Severity.ERROR, "Outside 0 to 1 the answer is infinite.")
def quantile_range(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Quantiles that are no share."""
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            share: Any = None
            if (
                isinstance(node, pp.Call)
                and node.func.name in ("histogram_quantile", "quantile_over_time")
                and node.args
            ):
                share = _bare(node.args[0])
            elif isinstance(node, pp.AggregateExpr) and operator(node) == "quantile":
                share = _bare(node.param) if node.param is not None else None
            if isinstance(share, pp.NumberLiteral) and not 0 <= share.val <= 1:
                yield Hit(one.pointer, f"the quantile {share.val:g}; the 95th percentile is 0.95")


@RULES.rule(
    "query-quantile-no-rate", Severity.WARNING, "Buckets count since the process began, so the quantile hardly moves."
)
def quantile_no_rate(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Quantiles of buckets that no rate or increase reads."""
    for pointer, node in _quantiles(board):
        for inner, above in walk(node.args[1]):
            is_raw = isinstance(inner, pp.VectorSelector) and not any(
                isinstance(one, pp.MatrixSelector | pp.SubqueryExpr) for one in above
            )
            if is_raw and (inner.name or "").endswith("_bucket") and ":" not in inner.name:
                yield Hit(pointer, f"the quantile of {inner.name} since its process began; take its rate")
                break


@RULES.rule("query-average-quantile", Severity.WARNING, "The mean of percentiles is no percentile of anything.")
def average_quantile(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """avg and sum of quantiles that were computed before."""
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            if not isinstance(node, pp.AggregateExpr) or operator(node) not in ("avg", "sum"):
                continue
            inner = _bare(node.expr)
            computed = isinstance(inner, pp.Call) and inner.func.name == "histogram_quantile"
            matchers = inner.matchers.matchers if isinstance(inner, pp.VectorSelector) else ()
            told = any(m.name == "quantile" and m.value not in ("0", "1", "0.0", "1.0", "") for m in matchers)
            if computed or told:
                yield Hit(one.pointer, f"{operator(node)} of quantiles")


@RULES.rule("query-metric-unknown", Severity.ERROR, "Nothing is called so, and the panel stays empty.")
def metric_unknown(board: Dashboard, known: Known) -> Iterator[Hit]:
    """With `--metrics`: names that are not there. Recorded series are taken as given where the source has none."""
    if known.metrics is None:
        return
    for one in asked(board):
        for name in _names(one.expanded.tree) if one.expanded else ():
            if known.metrics.series(name) is None and not _is_given(name, known):
                said = f"{known.metrics.source} has no {name}{meant(name, known.metrics.names())}"
                # What is marked may never have happened yet.
                yield Hit(one.pointer, said, None if one.target else Severity.WARNING)


def _is_given(name: str, known: Known) -> bool:
    if not name or MARK in name:
        return True
    of_prometheus = name in ("up", "ALERTS", "ALERTS_FOR_STATE") or name.startswith("scrape_")
    return not (known.metrics and known.metrics.is_live) and (of_prometheus or ":" in name)


def _names(tree: Any) -> list[str]:
    return list(dict.fromkeys(n.name or "" for n, _ in walk(tree) if isinstance(n, pp.VectorSelector)))


@RULES.rule("query-metric-type", Severity.ERROR, "The query reads the metric as another kind than it is.")
def metric_type(board: Dashboard, known: Known) -> Iterator[Hit]:
    """With `--metrics`: the bare name of a classic histogram, a delta of a counter."""
    if known.metrics is None:
        return
    for one in asked(board):
        for node, above in walk(one.expanded.tree) if one.expanded else ():
            if isinstance(node, pp.VectorSelector) and node.name and known.metrics.series(node.name):
                family = known.metrics.families.get(node.name)
                is_classic = family and family.type == "histogram" and "le" in family.labels
                if is_classic:
                    yield Hit(one.pointer, f"{node.name} is a histogram: it has _bucket, _count and _sum")
                calls = [p.func.name for p in above if isinstance(p, pp.Call)]
                if calls and calls[-1] in ("delta", "idelta", "deriv", "predict_linear"):
                    kind, told = _kind(node.name, known)
                    if kind == "counter" and told:
                        yield Hit(one.pointer, f"{calls[-1]} of {node.name}, which is a counter", Severity.WARNING)


@RULES.rule(
    "query-label-unknown",
    Severity.ERROR,
    "No series has the label, so everything falls into one group, or nothing matches.",
)
def label_unknown(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Grouping by a label that an aggregation inside has dropped; with `--metrics` also by one the metric has not."""
    for one in asked(board):
        if one.expanded is None:
            continue
        told: set[str] = set()
        for node, _ in walk(one.expanded.tree):
            for label, severity, why in _unknown_labels(node, known):
                if label not in told:
                    told.add(label)
                    yield Hit(one.pointer, f"{label}: {why}", severity)


def _unknown_labels(node: Any, known: Known) -> Iterator[tuple[str, Severity | None, str]]:
    match node:
        case pp.AggregateExpr():
            keeps, named = grouping(node)
            inner = labels_of(node.expr)
            for label in sorted(named):
                if label.startswith(MARK):
                    continue
                if inner.has(label) is False and (keeps or inner.closed):
                    yield label, None, f"{operator(node)} {'by' if keeps else 'without'} a label that is gone already"
                elif why := _not_of_metrics(node.expr, label, known):
                    yield label, _severity(label, known), why
        case pp.VectorSelector() if known.metrics is not None and node.name not in _AS_RULES_SAY:
            series = known.metrics.series(node.name or "") if known.metrics else None
            for matcher in node.matchers.matchers:
                positive = "Not" not in str(matcher.op) and matcher.value not in ("", ".*")
                if series and matcher.name not in series.labels and positive and MARK not in matcher.name:
                    yield matcher.name, _severity(matcher.name, known), f"{node.name} has no such label"


_AS_RULES_SAY = frozenset({"", "ALERTS", "ALERTS_FOR_STATE"})
"""Series whose labels are those of whichever alert fires."""
_ADDED_BY_SCRAPING = frozenset({
    "cluster", "namespace", "pod", "node", "container", "service", "endpoint", "region", "zone", "env", "environment",
    "datacenter", "dc", "host", "hostname", "nodename", "app", "team", "replica", "prometheus", "shard",
})  # fmt: skip


def _severity(label: str, known: Known) -> Severity | None:
    """A file cannot tell which labels scraping adds."""
    is_live = known.metrics is not None and known.metrics.is_live
    return Severity.WARNING if label in _ADDED_BY_SCRAPING and not is_live else None


def _not_of_metrics(tree: Any, label: str, known: Known) -> str | None:
    """Why no series below can have a label, going by the metrics; None when one may."""
    if known.metrics is None or label in ("le", "quantile", "__name__"):
        return None
    names = _names(tree)
    if _AS_RULES_SAY.intersection(names):
        return None
    makes_labels = any(isinstance(n, pp.Call) and n.func.name.startswith("label_") for n, _ in walk(tree))
    makes_labels |= any(isinstance(n, pp.AggregateExpr) and operator(n) == "count_values" for n, _ in walk(tree))
    if not names or makes_labels:
        return None
    for name in names:
        series = known.metrics.series(name)
        if series is None or label in series.labels:
            return None
    return f"{' and '.join(names)} have no such label" if len(names) > 1 else f"{names[0]} has no such label"
