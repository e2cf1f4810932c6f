"""Which data source is asked: one that exists where the board will live."""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.dollars import names_in
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, mapping, sequence, text

RULES = Rules()

_OF_GRAFANA = frozenset({"-- Grafana --", "-- Mixed --", "-- Dashboard --", "__expr__", "grafana", "default", "-100"})


def _name(source: object) -> str | None:
    """The uid or name that is written; None for the default one."""
    return source if isinstance(source, str) else text(mapping(source).get("uid"))


def _places(board: Dashboard) -> Iterator[tuple[str, str]]:
    """Every data source that is named, with its pointer."""
    for panel in board.panels:
        places = [(panel.pointer, panel.json), *((target.pointer, target.json) for target in panel.targets)]
        for pointer, value in places:
            if name := _name(value.get("datasource")):
                yield f"{pointer}/datasource", name
    for variable in board.variables:
        if name := _name(variable.json.get("datasource")):
            yield f"{variable.pointer}/datasource", name
    for i, annotation in enumerate(sequence(mapping(board.json.get("annotations")).get("list"))):
        if name := _name(mapping(annotation).get("datasource")):
            yield f"/annotations/list/{i}/datasource", name


@RULES.rule(
    "datasource-hard-coded",
    Severity.WARNING,
    "The board works in one Grafana only; a variable of type datasource works in all.",
)
def hard_coded(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Each name or uid that is written in, once, at its first place."""
    if known.datasources is None:
        for name, where in _written_in(board).items():
            yield Hit(where[0], f"{name!r} is written in{_and_others(where)}")


def _written_in(board: Dashboard) -> dict[str, list[str]]:
    """Every name or uid that no variable stands for, with its places."""
    places: dict[str, list[str]] = {}
    for pointer, name in _places(board):
        if name not in _OF_GRAFANA and not names_in(name):
            places.setdefault(name, []).append(pointer)
    return places


def _and_others(where: list[str]) -> str:
    return f", and in {len(where) - 1} other places" if len(where) > 1 else ""


@RULES.rule("datasource-unknown", Severity.ERROR, "Grafana does not find it, and the panel shows an error.")
def unknown(board: Dashboard, known: Known) -> Iterator[Hit]:
    """Data sources that are not among those that are provisioned, each at its first place."""
    if known.datasources is None:
        return
    there = ", ".join(sorted(known.datasources))
    for name, where in _written_in(board).items():
        if name not in known.datasources:
            yield Hit(where[0], f"no data source {name!r}; there is {there}{_and_others(where)}")


@RULES.rule("datasource-kind", Severity.ERROR, "Grafana sends the query to a data source of another kind.")
def kind(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Data sources by a variable, which say they are of another kind than the variable offers."""
    offered = {one.name: text(one.json.get("query")) for one in board.variables if one.type == "datasource"}
    for panel in board.panels:
        for pointer, value in [(panel.pointer, panel.json), *((one.pointer, one.json) for one in panel.targets)]:
            source = mapping(value.get("datasource"))
            said, name = text(source.get("type")), text(source.get("uid")) or ""
            wanted = [offered[one] for one in names_in(name) if offered.get(one)]
            if said and wanted and said not in wanted:
                yield Hit(f"{pointer}/datasource", f"{name} offers {wanted[0]}, and {said} is asked")


@RULES.rule(
    "datasource-mixed",
    Severity.ERROR,
    "Grafana asks one data source for all queries of the panel, and one of them is the wrong one.",
)
def mixed(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Queries of several data sources in a panel that does not say it mixes them."""
    for panel in board.panels:
        named = {name for one in panel.targets if (name := _name(one.json.get("datasource")))} - _OF_GRAFANA
        own = _name(panel.json.get("datasource"))
        if own in ("-- Mixed --", "-- Dashboard --") or not named:
            continue
        if len(named) > 1:
            yield Hit(panel.pointer, f"{panel.title!r} asks {', '.join(sorted(named))}, and is not -- Mixed --")
