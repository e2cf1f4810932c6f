"""What each panel is, that it is told apart from the others, and that it asks something."""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, Panel, mapping, sequence, text
from monitoring.lint.registry import ANGULAR_PANELS, CORE_PANELS, QUERYING_PANELS, meant, near

RULES = Rules()

_AUTOMATIC_MIGRATION = 36
_ASKING = QUERYING_PANELS | {"graph", "singlestat", "table-old"}
_QUESTIONS = frozenset({"refId", "datasource", "hide", "legendFormat", "format", "instant", "range", "interval",
                        "intervalFactor", "step", "exemplar", "editorMode", "expr", "metric", "key"})  # fmt: skip
"""Keys of a Prometheus query; any other means that another data source is asked."""


@RULES.rule("panel-type", Severity.ERROR, "Grafana says that the plugin is not there, in place of the panel.")
def type_(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Types that neither Grafana nor, by their names, a plugin has."""
    required = {text(mapping(one).get("id")) for one in sequence(board.json.get("__requires"))}
    for panel in board.panels:
        if panel.type in CORE_PANELS or panel.type in ANGULAR_PANELS or panel.json.get("libraryPanel"):
            continue
        if not panel.type:
            yield Hit(panel.pointer, "the panel has no type")
        elif panel.type not in required:
            # A plugin's id is its author's name, its own, and what it is.
            is_plugin = panel.type.count("-") >= 1 and near(panel.type, CORE_PANELS) is None
            severity = Severity.NOTE if is_plugin else None
            yield Hit(f"{panel.pointer}/type", f"no panel {panel.type!r}{meant(panel.type, CORE_PANELS)}", severity)


@RULES.rule(
    "panel-type-removed", Severity.WARNING, "Grafana 12 has no Angular panels; it guesses a panel of today instead."
)
def removed(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels of Grafana 7 and older."""
    version = board.json.get("schemaVersion")
    for panel in board.panels:
        if panel.type in ANGULAR_PANELS:
            is_old = isinstance(version, int) and version < _AUTOMATIC_MIGRATION
            yield Hit(f"{panel.pointer}/type", f"{panel.type} is gone", Severity.NOTE if is_old else None)


@RULES.rule("panel-id", Severity.ERROR, "Links, alerts and full screen open the wrong one of two panels with one id.")
def ids(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Two panels with one id, wherever they lie."""
    seen: dict[object, Panel] = {}
    for panel in board.panels:
        id_ = panel.json.get("id")
        if isinstance(id_, bool) or not isinstance(id_, int):
            continue
        if id_ in seen:
            yield Hit(f"{panel.pointer}/id", f"{panel.title!r} and {seen[id_].title!r} both have the id {id_}")
        seen.setdefault(id_, panel)


@RULES.rule("ref-id", Severity.ERROR, "Of two queries with one letter Grafana shows the answer of one.")
def ref_ids(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Two queries of a panel with one letter."""
    for panel in board.panels:
        seen: set[str] = set()
        for target in panel.targets:
            if target.ref_id and target.ref_id in seen:
                yield Hit(f"{target.pointer}/refId", f"{panel.title!r} has two queries {target.ref_id!r}")
            seen.add(target.ref_id or "")


@RULES.rule(
    "description-missing", Severity.WARNING, "Whom it wakes at night wants to know what it means and what to do."
)
def description(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels that nothing explains."""
    for panel in board.panels:
        said = (text(panel.json.get("description")) or "").strip()
        if panel.shows_data and not said and not panel.json.get("libraryPanel"):
            yield Hit(panel.pointer, f"{panel.title or panel.type!r} has no description")


@RULES.rule("query-missing", Severity.ERROR, "The panel shows nothing, whatever happens.")
def query(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels that need a query and have none, and queries that ask nothing."""
    for panel in board.panels:
        if panel.type not in _ASKING or panel.json.get("libraryPanel") or _elsewhere(panel):
            continue
        if not panel.targets:
            yield Hit(panel.pointer, f"{panel.title or panel.type!r} has no query")
        for target in panel.targets:
            if target.json.keys() - _QUESTIONS or not board.asks_prometheus(target):
                continue
            if not (text(target.json.get("expr")) or "").strip():
                # While somebody edits, a second query is often left empty.
                others = any((text(one.json.get("expr")) or "").strip() for one in panel.targets)
                hidden = target.json.get("hide") is True
                severity = Severity.WARNING if others or hidden else None
                yield Hit(target.pointer, f"query {target.ref_id or '?'} of {panel.title!r} is empty", severity)


def _elsewhere(panel: Panel) -> bool:
    """Whether it shows another panel's answer, a snapshot, or what a variable's data source says."""
    source = panel.json.get("datasource")
    uid = source if isinstance(source, str) else mapping(source).get("uid")
    return uid == "-- Dashboard --" or bool(panel.json.get("snapshotData"))


@RULES.rule("all-hidden", Severity.WARNING, "Everything the panel asks is switched off.")
def all_hidden(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels of which every query is hidden."""
    for panel in board.panels:
        if panel.type in _ASKING and panel.targets and all(one.json.get("hide") is True for one in panel.targets):
            yield Hit(panel.pointer, f"every query of {panel.title!r} is hidden")


@RULES.rule("repeat-direction", Severity.ERROR, "Grafana reads h or v and nothing else.")
def direction(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Directions of repeats that are neither."""
    for panel in board.panels:
        said = panel.json.get("repeatDirection")
        if panel.json.get("repeat") and said not in (None, "", "h", "v"):
            yield Hit(f"{panel.pointer}/repeatDirection", f"expected h or v, found {said!r}")
