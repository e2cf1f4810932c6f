"""Where panels lie: inside the grid, beside each other, in rows that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, Panel, mapping, sequence

RULES = Rules()

GRID_WIDTH = 24


@RULES.rule("grid-missing", Severity.WARNING, "Grafana puts a panel without a place wherever there is room.")
def missing(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels without gridPos, in a board whose layout is the grid's."""
    for panel in _on_grid(board):
        if not isinstance(panel.json.get("gridPos"), dict):
            yield Hit(panel.pointer, f"{_name(panel)} has no gridPos")


@RULES.rule("grid-size", Severity.ERROR, "A panel without width or height is not seen.")
def size(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Widths and heights that are no positive whole numbers."""
    for panel in _on_grid(board):
        grid = panel.json.get("gridPos")
        if not isinstance(grid, dict):
            continue
        for key in ("w", "h"):
            value = grid.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                yield Hit(f"{panel.pointer}/gridPos", f"{_name(panel)} has the {key} {value!r}")
            elif value != int(value):
                # Grafana rounds it.
                yield Hit(f"{panel.pointer}/gridPos", f"{_name(panel)} has the {key} {value!r}", Severity.WARNING)


@RULES.rule("grid-outside", Severity.ERROR, "What leaves the 24 columns is cut off or moved.")
def outside(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels that begin or end outside the grid."""
    for panel in _on_grid(board):
        place = _place(panel)
        if place is None:
            continue
        x, y, w, _ = place
        if x < 0 or y < 0:
            yield Hit(f"{panel.pointer}/gridPos", f"{_name(panel)} begins at x {x:g}, y {y:g}")
        elif x + w > GRID_WIDTH:
            yield Hit(f"{panel.pointer}/gridPos", f"{_name(panel)}: x {x:g} + w {w:g} leaves the {GRID_WIDTH} columns")


@RULES.rule("grid-overlap", Severity.ERROR, "Grafana moves one of two panels in one place, and the layout falls apart.")
def overlap(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels that share cells: on the board, and inside each collapsed row."""
    groups: dict[str, list[Panel]] = {}
    for panel in _on_grid(board):
        groups.setdefault(panel.row.pointer if panel.row else "", []).append(panel)
    for panels in groups.values():
        yield from _overlaps(panels)


def _overlaps(panels: list[Panel]) -> Iterator[Hit]:
    # By y, so that only those still open downwards are compared.
    placed = sorted(
        ((place, i, panel) for i, panel in enumerate(panels) if (place := _place(panel))),
        key=lambda one: (one[0][1], one[1]),
    )
    opened: list[tuple[tuple[float, float, float, float], Panel]] = []
    for place, _, panel in placed:
        x, y, w, h = place
        opened = [one for one in opened if one[0][1] + one[0][3] > y]
        for (ox, _oy, ow, _oh), other in opened:
            if ox < x + w and x < ox + ow and w > 0 and h > 0:
                # A row gives way by itself.
                severity = Severity.WARNING if "row" in (panel.type, other.type) else None
                later, earlier = (panel, other) if panel.pointer > other.pointer else (other, panel)
                yield Hit(f"{later.pointer}/gridPos", f"{_name(later)} overlaps {_name(earlier)}", severity)
                break
        opened.append((place, panel))


@RULES.rule("row-panels", Severity.ERROR, "Panels inside an open row, or a row inside a row, are not shown.")
def row_panels(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Rows that hold panels though they are open, and rows in rows."""
    for panel in board.panels:
        if panel.type == "row" and panel.row is not None and panel.row.type == "row":
            yield Hit(panel.pointer, f"the row {panel.title!r} lies in the row {panel.row.title!r}")
        if panel.type == "row" and panel.json.get("collapsed") is not True and sequence(panel.json.get("panels")):
            yield Hit(f"{panel.pointer}/panels", f"the row {panel.title!r} is open and holds panels of its own")


@RULES.rule("row-empty", Severity.NOTE, "A heading over nothing.")
def row_empty(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Rows that nothing follows before the next row."""
    panels = [one for one in board.panels if one.row is None]
    for one, following in zip_longest(panels, panels[1:]):
        is_last = following is None or following.type == "row"
        if one.type == "row" and is_last and not sequence(one.json.get("panels")):
            yield Hit(one.pointer, f"the row {one.title!r} is empty")


def _on_grid(board: Dashboard) -> Iterator[Panel]:
    """The panels that a grid lays out; rows of Grafana 4 had spans instead."""
    return (panel for panel in board.panels if not panel.pointer.startswith("/rows/"))


def _place(panel: Panel) -> tuple[float, float, float, float] | None:
    """x, y, width and height, as Grafana takes them; None without all of them."""
    grid = mapping(panel.json.get("gridPos"))
    values = [grid.get("x", 0), grid.get("y", 0), grid.get("w"), grid.get("h")]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    x, y, w, h = (float(value) for value in values if isinstance(value, int | float))
    return x, y, w, h


def _name(panel: Panel) -> str:
    return repr(panel.title or panel.type)
