"""Whether the series of a panel can be told apart, and whether two sides of an operator ever meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as pp

from monitoring.dollars import names_in
from monitoring.lint.asked import asked, queries
from monitoring.lint.expand import MARK
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, Panel, mapping, sequence
from monitoring.lint.series import NAME, Labels, is_scalar, labels_of, matching, operator, walk
from monitoring.promql import Matcher, selector_of

RULES = Rules()

_LABEL = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
_NAMED = frozenset({"timeseries", "graph", "stat", "bargauge", "gauge", "piechart", "state-timeline", "barchart"})
"""Panels that write the name of a series beside it."""


@RULES.rule("legend-missing", Severity.WARNING, "Each line is named by its whole label set, which nobody can read.")
def missing(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Queries of several series without a legend, in panels that write names."""
    for _one, expanded, target in queries(board):
        if target.legend or labels_of(expanded.tree).is_single or not _has_legend(target.panel):
            continue
        yield Hit(target.pointer, f"query {target.ref_id or '?'} of {target.panel.title!r} has no legend")


def _has_legend(panel: Panel) -> bool:
    """Whether it writes the names of its series, as the data source gives them."""
    if panel.type not in ("timeseries", "graph") or sequence(panel.json.get("transformations")):
        return False
    legend = mapping(mapping(panel.json.get("options")).get("legend"))
    old = mapping(panel.json.get("legend"))
    return (
        legend.get("showLegend") is not False and legend.get("displayMode") != "hidden" and old.get("show") is not False
    )


@RULES.rule("legend-label", Severity.ERROR, "Where the label should stand, the legend is empty.")
def label(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Legends that name a label which the series cannot have."""
    for _one, expanded, target in queries(board):
        labels = labels_of(expanded.tree)
        if target.legend.count("{{") != target.legend.count("}}"):
            said = f"the braces of {target.legend!r} do not close"
            yield Hit(f"{target.pointer}/legendFormat", said, Severity.WARNING)
        for name in _LABEL.findall(target.legend):
            if labels.has(name) is False:
                severity = Severity.WARNING if name == NAME else None
                yield Hit(f"{target.pointer}/legendFormat", f"{{{{{name}}}}}: the series have no such label", severity)
            elif labels.has(name) is None and known.metrics and (metric := _lone_metric(expanded.tree)):
                series = known.metrics.series(metric)
                if series and name not in series.labels and known.metrics.is_live:
                    yield Hit(f"{target.pointer}/legendFormat", f"{{{{{name}}}}}: {metric} has no such label")


def _lone_metric(tree: Any) -> str | None:
    """The metric of an expression that is one selector, or a function of one."""
    names = {n.name for n, _ in walk(tree) if isinstance(n, pp.VectorSelector)}
    changes = any(
        isinstance(n, pp.BinaryExpr) or (isinstance(n, pp.Call) and n.func.name.startswith("label_"))
        for n, _ in walk(tree)
    )
    return names.pop() if len(names) == 1 and not changes else None


@RULES.rule("legend-ambiguous", Severity.WARNING, "Several lines have one name.")
def ambiguous(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """A name without a label for several series, and one name for two queries."""
    for panel in board.panels:
        if panel.type not in _NAMED:
            continue
        seen: dict[str, str] = {}
        for _one, expanded, target in queries(board):
            if target.panel is not panel or target.json.get("hide") is True:
                continue
            labels, legend = labels_of(expanded.tree), target.legend
            named = frozenset(_LABEL.findall(legend))
            constant = bool(legend) and legend != "__auto" and not names_in(legend)
            place = f"{target.pointer}/legendFormat"
            if constant and not named and labels.closed and labels.names - _fixed(expanded.tree, board):
                yield Hit(place, f"every series by {', '.join(sorted(labels.names))} is called {legend!r}")
            elif constant and legend in seen and not (named and named <= _fixed(expanded.tree, board)):
                yield Hit(place, f"queries {seen[legend]} and {target.ref_id or '?'} are both called {legend!r}")
            if constant:
                seen.setdefault(legend, target.ref_id or "?")


def _fixed(tree: Any, board: Dashboard) -> frozenset[str]:
    """Labels that every selector of an expression sets to one value, or to a variable that has only one."""
    single = {variable.name for variable in board.variables if not variable.is_multiple}
    fixed: frozenset[str] | None = None
    for node, _ in walk(tree):
        if isinstance(node, pp.VectorSelector):
            own = frozenset(m.label for m in selector_of(node).matchers if m.operator == "=" or _is_one(m, single))
            fixed = own if fixed is None else fixed & own
    return fixed or frozenset()


def _is_one(matcher: Matcher, single: set[str]) -> bool:
    return matcher.operator == "=~" and matcher.value.removeprefix(f"{MARK}_") in single and MARK in matcher.value


@RULES.rule(
    "query-match-empty", Severity.ERROR, "The two sides have no label set in common, so the answer is always empty."
)
def match_empty(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Operators between sides whose labels are known and can never be the same."""
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            if isinstance(node, pp.BinaryExpr) and not is_scalar(node.lhs) and not is_scalar(node.rhs):
                yield from (Hit(one.pointer, why) for why in _never(node))


def _never(node: Any) -> Iterator[str]:
    """Why two sides never match; nothing when they may."""
    left, right = labels_of(node.lhs).less(frozenset({NAME})), labels_of(node.rhs).less(frozenset({NAME}))
    how, named, side, _ = matching(node)
    kind = operator(node)
    if kind == "or":
        return
    if how == "on":
        odd = [one for one in sorted(named) if _surely(one, left, right)]
        yield from (f"{kind} on ({one}), which one side has and the other has not" for one in odd[:1])
        return
    dropped = named if how == "ignoring" else frozenset()
    a, b = left.less(dropped), right.less(dropped)
    if not side and a.closed and b.closed and any(_surely(one, a, b) for one in a.names ^ b.names):
        yield f"{kind} between series by ({_list(a)}) and by ({_list(b)}): on (…) says what they share"


def _surely(label_: str, a: Labels, b: Labels) -> bool:
    return {a.has(label_), b.has(label_)} == {True, False}


def _list(labels: Labels) -> str:
    return ", ".join(sorted(labels.names))


@RULES.rule(
    "query-many-to-one",
    Severity.WARNING,
    "Prometheus refuses the match as soon as one side has two series for one of the other.",
)
def many_to_one(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Matches on fewer labels than a side has, without group_left or group_right."""
    for one in asked(board):
        for node, _ in walk(one.expanded.tree) if one.expanded else ():
            if not isinstance(node, pp.BinaryExpr) or is_scalar(node.lhs) or is_scalar(node.rhs):
                continue
            how, named, side, _ = matching(node)
            if operator(node) in ("and", "or", "unless") or side or how != "on":
                continue
            for tree in (node.lhs, node.rhs):
                labels = labels_of(tree)
                more = labels.names - named - {NAME} - _fixed(tree, board)
                if labels.closed and more and all(labels.has(name) for name in more):
                    yield Hit(
                        one.pointer,
                        f"on ({', '.join(sorted(named))}) leaves out {', '.join(sorted(more))} without group_left",
                    )
                    break
