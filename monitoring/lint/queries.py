"""How queries are written: that they parse, over which range, with which matchers, in which format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as pp

from monitoring.dollars import VARIABLE, name_of
from monitoring.goregex import problem
from monitoring.lint.asked import asked, queries
from monitoring.lint.expand import MARK
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, Panel, Variable, mapping, sequence, text
from monitoring.lint.series import labels_of, walk
from monitoring.promql import selector_of

RULES = Rules()

RATES = frozenset({"rate", "irate", "increase"})
_HOUR_S = 3600
_SHORT_S = 30
_FIXED = re.compile(r"\[\s*(?P<range>(?:\d+(?:ms|[smhdwy]))+)\s*(?::[^\]]*)?\]")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_EQUALS = re.compile(
    r"(?P<label>[A-Za-z_]\w*)\s*(?P<operator>!=|=)(?!~)\s*(?P<quote>[\"'`])(?P<value>[^\"'`]*)(?P=quote)"
)
_DRAWING_TIME = frozenset({"timeseries", "graph", "heatmap", "state-timeline", "status-history"})
_PLAIN_FORMATS = ("raw", "csv", "text", "doublequote", "singlequote", "json")


@RULES.rule(
    "promql-syntax", Severity.ERROR, "Prometheus refuses it, and the panel shows the error in place of the data."
)
def syntax(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Expressions that one of two independent parsers refuses: our own and promtool."""
    for one in asked(board):
        if one.expanded is None:
            yield Hit(one.pointer, one.error)
        elif words := known.refused.get(one.expanded.expr):
            # An older promtool does not know the newest functions.
            severity = Severity.WARNING if "unknown function" in words else None
            yield Hit(one.pointer, f"promtool: {words}", severity)


@RULES.rule(
    "query-fixed-range",
    Severity.WARNING,
    "Zoomed out it skips most samples, zoomed in it draws steps; $__rate_interval fits both.",
)
def fixed_range(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Rates over a range that is written in, shorter than an hour, in panels that draw a line and do not name it."""
    for one, expanded, target in queries(board):
        if target.json.get("instant") is True or target.panel.type in ("table", "piechart"):
            continue
        for window in _rate_windows(expanded.original):
            if _SHORT_S <= _seconds(window) < _HOUR_S and not _is_named(window, target.panel, target.legend):
                yield Hit(one.pointer, f"[{window}] where $__rate_interval follows the zoom")
                break


def _rate_windows(expr: str) -> Iterator[str]:
    """The ranges in a query that contain no variable and are read by a rate."""
    for found in _FIXED.finditer(expr):
        before = expr[: found.start()]
        call = re.findall(r"\b([a-z_]+)\s*\(", before)
        if ":" not in found.group() and call and any(one in RATES for one in call[-3:]):
            yield found["range"]


def _seconds(duration: str) -> float:
    return sum(int(n) * _UNITS_S[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def _is_named(window: str, panel: Panel, legend: str) -> bool:
    """Whether the panel says over which window it looks."""
    said = " ".join((panel.title, legend, text(panel.json.get("description")) or "")).lower()
    minutes = _seconds(window) / 60
    ways = (
        window,
        f"{minutes:g} min",
        f"{minutes:g}-min",
        f"{minutes:g}min",
        f"{minutes:g} m",
        "last minute" if minutes == 1 else window,
    )
    return any(way in said for way in ways)


@RULES.rule(
    "query-short-range", Severity.WARNING, "A rate needs two samples in its range; with fewer there is nothing."
)
def short_range(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Rates over less than two scrapes: half a minute, or $__interval, which may be as short as the screen is wide."""
    for one, expanded, _target in queries(board):
        if short := next((w for w in _rate_windows(expanded.original) if _seconds(w) < _SHORT_S), None):
            yield Hit(
                one.pointer,
                f"[{short}] holds two samples only where targets are scraped every {_seconds(short) / 2:g} s",
            )
        elif re.search(r"\b(?:rate|irate|increase)\s*\([^\[\]]*\[\s*\$\{?__interval\}?\s*\]", expanded.original):
            yield Hit(one.pointer, "[$__interval] may hold no two samples; [$__rate_interval] always does")


@RULES.rule(
    "query-multi-equals", Severity.ERROR, "Several values are sent as (a|b), which nothing equals; it takes =~."
)
def multi_equals(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """A label equal to a variable of which several values, or all, can be chosen."""
    multiple = {variable.name: variable for variable in board.variables if variable.is_multiple}
    repeated = {text(panel.json.get("repeat")) for panel in board.panels}
    repeated |= {text(mapping(row).get("repeat")) for row in sequence(board.json.get("rows"))}
    for one in asked(board):
        for found in _EQUALS.finditer(one.expr):
            for use in VARIABLE.finditer(found["value"]):
                variable = multiple.get(name_of(use))
                if variable is None or any(f":{form}" in use.group() for form in _PLAIN_FORMATS):
                    continue
                yield Hit(
                    one.pointer,
                    f'{found["label"]}{found["operator"]}"{use.group()}": several values can be chosen, write '
                    f"{'!~' if found['operator'] == '!=' else '=~'}",
                    # In a copy that repeats for it there is one value only.
                    Severity.NOTE if variable.name in repeated else _severity_of(variable),
                )


def _severity_of(variable: Variable) -> Severity | None:
    """All values as one pattern of one's own may well be meant to be equal to something."""
    return None if variable.json.get("multi") is True else Severity.WARNING


@RULES.rule("query-matcher-conflict", Severity.ERROR, "No series has two values of one label.")
def conflict(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """A label that must be equal to two things."""
    for one in asked(board):
        for selector in _selectors(one.expanded.tree) if one.expanded else ():
            seen: dict[str, str] = {}
            for matcher in selector.matchers:
                if matcher.operator != "=" or MARK in matcher.value:
                    continue
                first = seen.setdefault(matcher.label, matcher.value)
                if first != matcher.value:
                    yield Hit(one.pointer, f"{matcher.label} cannot be {first!r} and {matcher.value!r}")


@RULES.rule("query-matcher-regex", Severity.ERROR, "Prometheus refuses the pattern.")
def matcher_regex(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Patterns that Go's regular expressions do not have; promql-syntax tells of those that nobody has."""
    for one in asked(board):
        for selector in _selectors(one.expanded.tree) if one.expanded else ():
            for matcher in selector.matchers:
                if matcher.operator in ("=~", "!~") and (wrong := problem(matcher.value)):
                    yield Hit(one.pointer, f"{matcher.label}{matcher.operator}{matcher.value!r}: {wrong}")


@RULES.rule("query-no-job", Severity.WARNING, "Another service may have a metric of that name; then both are added up.")
def no_job(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """On boards that choose a job: selectors that take every job's series."""
    choosers = {variable.name for variable in board.variables if _chooses_job(variable)}
    asks_by_job = any("job" in _matched(s) for _, e, _ in queries(board) for s in _selectors(e.tree))
    if not choosers or not asks_by_job:
        return
    for one, expanded, _target in queries(board):
        for selector in _selectors(expanded.tree):
            labels = _matched(selector)
            exempt = (
                ":" in selector.name or selector.name in ("ALERTS", "ALERTS_FOR_STATE", "") or MARK in selector.name
            )
            if "job" not in labels and not exempt and not any(label.startswith(MARK) for label in labels):
                yield Hit(
                    one.pointer, f"{selector.name} is taken of every job, though the board chooses ${min(choosers)}"
                )
                break


def _matched(selector: Any) -> set[str]:
    return {matcher.label for matcher in selector.matchers}


def _chooses_job(variable: Variable) -> bool:
    query = variable.json.get("query")
    said = text(query) or text(mapping(query).get("query")) or ""
    return variable.name == "job" or bool(re.search(r"label_values\(.*\bjob\s*\)$", said.strip()))


def _selectors(tree: Any) -> Iterator[Any]:
    return (selector_of(node) for node, _ in walk(tree) if isinstance(node, pp.VectorSelector))


@RULES.rule("query-duplicate", Severity.WARNING, "The same line is drawn twice, and one is meant to be something else.")
def duplicate(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Two queries of a panel that ask the same in the same way."""
    seen: dict[tuple[str, ...], str] = {}
    for one, expanded, target in queries(board):
        if target.json.get("hide") is True:
            continue
        form = (
            str(target.json.get("format")),
            str(target.json.get("instant")),
            str(_name(target.json.get("datasource"))),
        )
        key = (target.panel.pointer, "".join(expanded.original.split()), *form, str(target.json.get("interval")))
        if key in seen:
            yield Hit(
                one.pointer, f"queries {seen[key]} and {target.ref_id or '?'} of {target.panel.title!r} are the same"
            )
        seen.setdefault(key, target.ref_id or "?")


def _name(source: object) -> object:
    return source if isinstance(source, str) else mapping(source).get("uid")


@RULES.rule("query-instant-graph", Severity.WARNING, "One value is no line.")
def instant_graph(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Instant queries in panels that draw time."""
    for _one, _expanded, target in queries(board):
        panel = target.panel
        one_moment = target.json.get("instant") is True and target.json.get("range") is not True
        if panel.type in _DRAWING_TIME and one_moment and not _transformed(panel):
            yield Hit(f"{target.pointer}/instant", f"{panel.type} {panel.title!r} asks for one moment")


def _transformed(panel: Panel) -> bool:
    return bool(sequence(panel.json.get("transformations")))


@RULES.rule("query-format", Severity.WARNING, "Grafana lays the answer out for another kind of panel.")
def format_(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Buckets that a heatmap takes for lines, and tables with a column for each series."""
    for _one, expanded, target in queries(board):
        panel, form = target.panel, target.json.get("format") or "time_series"
        options = mapping(panel.json.get("options"))
        calculates = options.get("calculate") is True or panel.json.get("dataFormat") == "timeseries"
        buckets = labels_of(expanded.tree).has("le")
        if panel.type == "heatmap" and buckets and form != "heatmap" and not calculates:
            yield Hit(
                f"{target.pointer}/format", f"the buckets of {panel.title!r} want the format heatmap, found {form}"
            )
        one_moment = target.json.get("instant") is True
        if panel.type == "table" and form == "table" and not one_moment and not _transformed(panel):
            yield Hit(f"{target.pointer}/instant", f"the table {panel.title!r} has a row for every moment; ask for one")
        if (
            panel.type == "table"
            and form == "time_series"
            and not _transformed(panel)
            and not panel.json.get("transform")
        ):
            yield Hit(f"{target.pointer}/format", f"the table {panel.title!r} wants the format table, found {form}")
