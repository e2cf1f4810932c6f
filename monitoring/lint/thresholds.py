"""Thresholds and axes: whether a value past the limit can ever turn red."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, Panel, mapping, sequence, text
from monitoring.lint.registry import COLORS, meant

RULES = Rules()

_NOTATION = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|(?:rgb|hsl)a?\([^)]*\)|var\(.*\)")
_CSS = frozenset(
    [
        "aqua",
        "black",
        "blue",
        "brown",
        "coral",
        "crimson",
        "cyan",
        "darkblue",
        "darkgray",
        "darkgreen",
        "darkgrey",
        "darkorange",
        "darkred",
        "fuchsia",
        "gold",
        "gray",
        "green",
        "grey",
        "indigo",
        "khaki",
        "lightblue",
        "lightgray",
        "lightgreen",
        "lightgrey",
        "lime",
        "limegreen",
        "magenta",
        "maroon",
        "navy",
        "olive",
        "orange",
        "orangered",
        "pink",
        "plum",
        "purple",
        "red",
        "salmon",
        "silver",
        "skyblue",
        "steelblue",
        "tan",
        "teal",
        "tomato",
        "turquoise",
        "violet",
        "white",
        "yellow",
        "yellowgreen",
    ]
)


@dataclass(frozen=True)
class _Thresholds:
    """One list of steps, where it stands, and the unit and limits it is read with."""

    pointer: str
    json: Mapping[str, Any]
    unit: str
    minimum: object
    maximum: object

    @property
    def steps(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(f"{self.pointer}/steps/{i}", mapping(one)) for i, one in enumerate(sequence(self.json.get("steps")))]

    @property
    def is_relative(self) -> bool:
        return self.json.get("mode") == "percentage"


def _all(board: Dashboard) -> Iterator[_Thresholds]:
    for panel in board.panels:
        yield from _of(panel)


def _of(panel: Panel) -> Iterator[_Thresholds]:
    defaults = panel.defaults
    unit, low, high = text(defaults.get("unit")) or "", defaults.get("min"), defaults.get("max")
    if "thresholds" in defaults:
        pointer = f"{panel.pointer}/fieldConfig/defaults/thresholds"
        yield _Thresholds(pointer, mapping(defaults["thresholds"]), unit, low, high)
    for pointer, override in panel.overrides:
        properties = [mapping(one) for one in sequence(override.get("properties"))]
        own = {text(one.get("id")): one.get("value") for one in properties}
        for i, one in enumerate(properties):
            if one.get("id") == "thresholds":
                yield _Thresholds(
                    f"{pointer}/properties/{i}/value",
                    mapping(one.get("value")),
                    text(own.get("unit")) or unit,
                    own.get("min", low),
                    own.get("max", high),
                )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


@RULES.rule("threshold-value", Severity.ERROR, "No value is ever above what is no number, so the colour never comes.")
def value(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Steps above the first whose value is no number."""
    for thresholds in _all(board):
        for i, (pointer, step) in enumerate(thresholds.steps):
            said = step.get("value")
            if (said is None and i == 0) or _number(said) is not None:
                continue
            number = isinstance(said, str) and re.fullmatch(r"-?\d+(\.\d+)?", said.strip())
            # Of the first step only a text hurts: Grafana then takes it for no step at all.
            yield Hit(
                f"{pointer}/value" if "value" in step else pointer,
                f"expected a number{' or null' if i == 0 else ''}, found {said!r}",
                Severity.WARNING if number else None,
            )


@RULES.rule(
    "threshold-order", Severity.ERROR, "Grafana takes the last step it passes, so a lower one behind a higher hides it."
)
def order(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Steps whose values fall."""
    for thresholds in _all(board):
        before: float | None = None
        for pointer, step in thresholds.steps:
            said = _number(step.get("value"))
            if said is not None and before is not None and said < before:
                yield Hit(f"{pointer}/value", f"{said:g} stands behind {before:g}")
            before = said if said is not None else before


@RULES.rule("threshold-duplicate", Severity.WARNING, "Of two steps at one value only the last is seen.")
def duplicate(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Two steps at one value."""
    for thresholds in _all(board):
        seen: set[float] = set()
        for pointer, step in thresholds.steps:
            said = _number(step.get("value"))
            if said is not None and said in seen:
                yield Hit(f"{pointer}/value", f"a second step at {said:g}")
            seen.add(said if said is not None else math.nan)


@RULES.rule("threshold-base", Severity.WARNING, "What lies below the first step has no colour of its own.")
def base(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Lists without steps, and a first step that does not begin at the bottom."""
    for thresholds in _all(board):
        if "steps" in thresholds.json and not thresholds.steps:
            yield Hit(f"{thresholds.pointer}/steps", "no step at all")
        if thresholds.steps and (first := _number(thresholds.steps[0][1].get("value"))) is not None:
            at_zero = first == 0 or first == thresholds.minimum
            yield Hit(
                f"{thresholds.steps[0][0]}/value",
                f"the first step begins at {first:g}, not at null",
                Severity.NOTE if at_zero else None,
            )


@RULES.rule("threshold-scale", Severity.WARNING, "A limit that no value reaches, in this unit, is no limit.")
def scale(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Steps outside the axis, shares above 1, percentages of 0 to 1, and relative steps outside 0 to 100."""
    for thresholds in _all(board):
        low, high = _number(thresholds.minimum), _number(thresholds.maximum)
        if low is not None and high is not None and low >= high:
            continue  # axis-range tells of that
        numbers = [(pointer, n) for pointer, step in thresholds.steps if (n := _number(step.get("value"))) is not None]
        for pointer, n in numbers:
            place = f"{pointer}/value"
            if thresholds.is_relative:
                if not 0 <= n <= 100:
                    yield Hit(place, f"{n:g} % of the way from min to max")
            elif high is not None and n > high:
                yield Hit(place, f"{n:g} lies above the axis, which ends at {high:g}")
            elif low is not None and n < low:
                yield Hit(place, f"{n:g} lies below the axis, which begins at {low:g}")
            elif thresholds.unit == "percentunit" and n > 1 and (high is None or high <= 1) and n >= 5:
                yield Hit(place, f"{n:g} is {n * 100:g} % in the unit percentunit")
        above = [n for _, n in numbers if n > 0]
        if (
            thresholds.unit == "percent"
            and not thresholds.is_relative
            and len(above) > 1
            and max(above) < 1
            and high != 1
        ):
            yield Hit(
                thresholds.pointer, f"all steps are below 1 in the unit percent, whose whole is 100: {max(above):g}"
            )


@RULES.rule("threshold-color", Severity.WARNING, "A colour that no browser knows is drawn as black, or not at all.")
def color(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Colours of steps that are neither Grafana's nor CSS's."""
    for thresholds in _all(board):
        for pointer, step in thresholds.steps:
            said = step.get("color")
            if not isinstance(said, str) or not said:
                yield Hit(pointer, "a step without a colour")
            elif said.lower() not in COLORS | _CSS and not _NOTATION.fullmatch(said.strip()):
                yield Hit(f"{pointer}/color", f"no colour {said!r}{meant(said, COLORS)}")


@RULES.rule("axis-range", Severity.ERROR, "An axis that ends before it begins shows nothing.")
def axis(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """A minimum that is not below the maximum."""
    for panel in board.panels:
        low, high = _number(panel.defaults.get("min")), _number(panel.defaults.get("max"))
        if low is not None and high is not None and low >= high:
            yield Hit(f"{panel.pointer}/fieldConfig/defaults/min", f"min {low:g} is not below max {high:g}")
