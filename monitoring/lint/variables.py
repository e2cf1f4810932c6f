"""The dollars of a dashboard: each stands for something, and each choice is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from monitoring.dollars import names_in, strings_of
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.patterns import wrong_pattern
from monitoring.lint.read import Dashboard, Panel, Variable, mapping, sequence, text
from monitoring.lint.registry import BUILT_IN_VARIABLES, VARIABLE_TYPES, meant, near

RULES = Rules()

_NAME = re.compile(r"\w+")
_LABEL_VALUES = re.compile(r"label_values\(\s*(?:(?P<expr>.+?)\s*,\s*)?(?P<label>[\w$:{}\[\]]+)\s*\)", re.DOTALL)
_FUNCTIONS = ("label_values", "label_names", "metrics", "query_result")
_CALL = re.compile(r"(\w+)\s*\(")
_MACROS = re.compile(r"__\w+")


@RULES.rule("variable-undefined", Severity.ERROR, "Grafana sends the dollar as it stands, and the query finds nothing.")
def undefined(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Names with a dollar that neither the board nor Grafana defines."""
    defined = {variable.name for variable in board.variables} | set(board.inputs)
    for pointer, value in _places(board):
        for name in sorted(names_in(value)):
            if name in defined or _is_built_in(name, in_query=pointer.endswith("/expr")):
                continue
            yield Hit(pointer, f"${name} is not defined{meant(name, defined | BUILT_IN_VARIABLES)}")
    for panel in board.panels:
        repeat = text(panel.json.get("repeat"))
        if repeat and repeat.lstrip("$") not in defined:
            yield Hit(f"{panel.pointer}/repeat", f"repeats for ${repeat}, which is not defined{meant(repeat, defined)}")


def _is_built_in(name: str, *, in_query: bool) -> bool:
    if name in BUILT_IN_VARIABLES:
        return True
    if not name.startswith("__"):
        return False
    # Other data sources have macros of their own; in PromQL there are none beside Grafana's.
    return not in_query and near(name, BUILT_IN_VARIABLES) is None


def _places(board: Dashboard) -> Iterator[tuple[str, str]]:
    """Every text whose dollars are variables, with its pointer."""
    for panel in board.panels:
        yield from _panel_places(panel)
    for variable in board.variables:
        if variable.type in ("query", "datasource", "custom", "interval"):
            for key in ("query", "regex", "datasource"):
                if variable.type != "query" and key == "regex":
                    continue
                yield from strings_of(variable.json.get(key), f"{variable.pointer}/{key}")
    for i, annotation in enumerate(sequence(mapping(board.json.get("annotations")).get("list"))):
        for key in ("expr", "datasource"):
            yield from strings_of(mapping(annotation).get(key), f"/annotations/list/{i}/{key}")
    for i, link in enumerate(sequence(board.json.get("links"))):
        yield from strings_of(mapping(link).get("url"), f"/links/{i}/url")


def _panel_places(panel: Panel) -> Iterator[tuple[str, str]]:
    for key in ("title", "datasource", "interval", "timeFrom", "timeShift", "links"):
        yield from strings_of(panel.json.get(key), f"{panel.pointer}/{key}")
    for target in panel.targets:
        if target.expr is None:
            yield from strings_of(target.json.get("datasource"), f"{target.pointer}/datasource")
            continue
        for key in ("expr", "legendFormat", "interval", "datasource"):
            yield from strings_of(target.json.get(key), f"{target.pointer}/{key}")
    yield from strings_of(panel.defaults.get("links"), f"{panel.pointer}/fieldConfig/defaults/links")


@RULES.rule("variable-unused", Severity.WARNING, "Choosing something at the top changes nothing, which misleads.")
def unused(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Variables that nothing mentions."""
    if not board.panels:
        return
    everything = {**board.json, "templating": None}
    mentioned = names_in(json.dumps(everything)) | {text(panel.json.get("repeat")) or "" for panel in board.panels}
    if "__all_variables" in mentioned:
        return
    passed_on = any(mapping(link).get("includeVars") is True for link in sequence(board.json.get("links")))
    for variable in board.variables:
        others = json.dumps([one.json for one in board.variables if one is not variable])
        if variable.name in mentioned or variable.name in names_in(others) or variable.type in ("adhoc", "groupby", ""):
            continue
        # Links may hand it to another board that does use it.
        severity = Severity.NOTE if passed_on or variable.json.get("hide") == 2 else None
        yield Hit(variable.pointer, f"${variable.name} is not used anywhere", severity)


@RULES.rule(
    "variable-duplicate", Severity.ERROR, "Grafana keeps one of two variables of a name, and not the one you set."
)
def duplicate(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Two variables of one name."""
    seen: set[str] = set()
    for variable in board.variables:
        if variable.name in seen:
            yield Hit(f"{variable.pointer}/name", f"a second variable is called {variable.name}")
        seen.add(variable.name)


@RULES.rule("variable-cycle", Severity.ERROR, "Variables that wait for each other never get their choices.")
def cycle(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Variables whose queries need each other, or themselves."""
    by_name = {variable.name: variable for variable in board.variables}
    needs = {
        name: {n for n in _names_needed(variable) if n in by_name} if variable.type == "query" else set()
        for name, variable in by_name.items()
    }
    for name, variable in by_name.items():
        reached: set[str] = set()
        waiting = list(needs[name])
        while waiting:
            one = waiting.pop()
            if one not in reached:
                reached.add(one)
                waiting += needs[one]
        if name in reached:
            through = sorted(other for other in reached if other != name and name in needs[other]) or [name]
            yield Hit(variable.pointer, f"${name} needs itself, through ${through[0]}")


def _names_needed(variable: Variable) -> Iterator[str]:
    for key in ("query", "regex", "datasource"):
        for _, value in strings_of(variable.json.get(key), ""):
            yield from names_in(value)


@RULES.rule("variable-name", Severity.ERROR, "What is no word cannot be written after a dollar.")
def name(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Names that are empty, no words, or Grafana's own."""
    for variable in board.variables:
        if not _NAME.fullmatch(variable.name) or _MACROS.fullmatch(variable.name):
            yield Hit(f"{variable.pointer}/name", f"{variable.name!r} is no name for a variable")


@RULES.rule("variable-type", Severity.ERROR, "Grafana leaves out a variable of a type it does not know.")
def type_(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Types that no Grafana has."""
    for variable in board.variables:
        if variable.type not in VARIABLE_TYPES:
            yield Hit(
                f"{variable.pointer}/type",
                f"no type of variable {variable.type!r}{meant(variable.type, VARIABLE_TYPES)}",
            )


@RULES.rule("variable-query", Severity.ERROR, "A variable without choices leaves every panel that uses it empty.")
def query(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Queries that are empty, or that Grafana's Prometheus data source cannot read."""
    for variable in board.variables:
        kind = board.datasource_kind(variable.json.get("datasource"))
        if variable.type == "datasource" and not text(variable.json.get("query")):
            yield Hit(f"{variable.pointer}/query", f"${variable.name} does not say which kind of data source")
        offered = text(variable.json.get("query")) or sequence(variable.json.get("options"))
        if variable.type in ("custom", "interval") and not offered:
            yield Hit(f"{variable.pointer}/query", f"${variable.name} has no choices")
        if variable.type != "query":
            continue
        asked = variable.json.get("query")
        said = text(asked) if not isinstance(asked, dict) else text(asked.get("query"))
        if not said:
            if kind in ("", "prometheus") and not isinstance(asked, dict):
                yield Hit(f"{variable.pointer}/query", f"${variable.name} asks nothing")
            continue
        called = _CALL.match(said.strip())
        if kind in ("", "prometheus") and called and called[1] not in _FUNCTIONS and near(called[1], _FUNCTIONS):
            yield Hit(f"{variable.pointer}/query", f"not understood by Grafana: {said}{meant(called[1], _FUNCTIONS)}")
        function = next((one for one in _FUNCTIONS if said.strip().startswith(one)), None)
        if kind not in ("", "prometheus") or function is None:
            continue
        if said.count("(") != said.count(")") or (
            function == "label_values" and not _LABEL_VALUES.fullmatch(said.strip())
        ):
            yield Hit(f"{variable.pointer}/query", f"not understood by Grafana: {said}")


@RULES.rule("variable-regex", Severity.ERROR, "A pattern that does not compile leaves the variable without choices.")
def regex(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Patterns that are no regular expressions."""
    for variable in board.variables:
        said = text(variable.json.get("regex"))
        if said and (wrong := wrong_pattern(said)):
            yield Hit(f"{variable.pointer}/regex", f"no regular expression: {said} ({wrong})")


@RULES.rule("variable-current", Severity.WARNING, "The board opens with a choice that is not offered.")
def current(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Of variables whose choices are written down: one that is not among them."""
    for variable in board.variables:
        said = text(variable.json.get("query"))
        if variable.type not in ("custom", "interval") or not said or names_in(said):
            continue
        offered = {part.strip().rpartition(" : ")[2].strip() for part in re.split(r"(?<!\\),", said)}
        offered |= {text(mapping(one).get("value")) or "" for one in sequence(variable.json.get("options"))}
        value = mapping(variable.json.get("current")).get("value")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one and one not in offered and not one.startswith(("$__", "__")):
                yield Hit(f"{variable.pointer}/current", f"${variable.name} is {one!r}, which is not among its choices")


@RULES.rule("variable-repeat", Severity.WARNING, "A repeat over one value draws one copy, whatever is chosen.")
def repeat_(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels and rows that repeat for a variable that can only have one value."""
    multiple = {variable.name: variable.is_multiple for variable in board.variables}
    for panel in board.panels:
        repeat = text(panel.json.get("repeat"))
        if repeat and multiple.get(repeat) is False:
            yield Hit(f"{panel.pointer}/repeat", f"repeats for ${repeat}, of which one value can be chosen")
