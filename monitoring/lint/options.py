"""Words of which Grafana knows a fixed set: how panels draw, reduce, match, map and transform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.patterns import wrong_pattern
from monitoring.lint.read import Dashboard, Panel, mapping, sequence, text
from monitoring.lint.registry import (
    COLOR_MODES,
    CUSTOM_KEYS,
    FIELD_MATCHERS,
    QUERYING_PANELS,
    REDUCERS,
    TRANSFORMATIONS,
    meant,
    near,
)

RULES = Rules()

_ANY = "*"
_OPTIONS: Mapping[tuple[str, str], str] = {
    (_ANY, "options/legend/displayMode"): "list table hidden",
    (_ANY, "options/legend/placement"): "bottom right top left",
    (_ANY, "options/tooltip/mode"): "single multi none",
    (_ANY, "options/tooltip/sort"): "none asc desc",
    (_ANY, "options/orientation"): "auto horizontal vertical",
    ("stat", "options/colorMode"): "value background background_solid none",
    ("stat", "options/graphMode"): "none area line",
    ("stat", "options/justifyMode"): "auto center",
    ("stat", "options/textMode"): "auto value value_and_name name none",
    ("bargauge", "options/displayMode"): "basic lcd gradient",
    ("bargauge", "options/valueMode"): "color text hidden",
    ("bargauge", "options/namePlacement"): "auto top left hidden",
    ("bargauge", "options/sizing"): "auto manual",
    ("gauge", "options/sizing"): "auto manual",
    ("piechart", "options/pieType"): "pie donut",
    ("state-timeline", "options/showValue"): "auto always never",
    ("status-history", "options/showValue"): "auto always never",
    ("state-timeline", "options/alignValue"): "left center right",
    ("heatmap", "options/color/mode"): "scheme opacity",
    ("heatmap", "options/color/scale"): "linear exponential",
    ("table", "options/cellHeight"): "sm md lg auto",
    (_ANY, "fieldConfig/defaults/thresholds/mode"): "absolute percentage",
    (_ANY, "fieldConfig/defaults/custom/thresholdsStyle/mode"): "off line dashed area line+area dashed+area series",
    ("timeseries", "fieldConfig/defaults/custom/drawStyle"): "line bars points",
    ("timeseries", "fieldConfig/defaults/custom/lineInterpolation"): "linear smooth stepBefore stepAfter",
    ("timeseries", "fieldConfig/defaults/custom/showPoints"): "auto never always",
    ("timeseries", "fieldConfig/defaults/custom/gradientMode"): "none opacity hue scheme",
    ("timeseries", "fieldConfig/defaults/custom/stacking/mode"): "none normal percent",
    ("timeseries", "fieldConfig/defaults/custom/lineStyle/fill"): "solid dash dot square",
    (_ANY, "fieldConfig/defaults/custom/axisPlacement"): "auto top right bottom left hidden",
    (_ANY, "fieldConfig/defaults/custom/scaleDistribution/type"): "linear log ordinal symlog",
    ("table", "fieldConfig/defaults/custom/align"): "auto left right center",
    ("table", "fieldConfig/defaults/custom/cellOptions/type"): "auto color-text color-background gauge json-view image "
    "sparkline data-links custom actions pill markdown geo color-background-solid basic lcd-gauge gradient-gauge",
}
"""What may stand at a path of a panel of a kind; `@grafana/schema`'s enumerations, older spellings too."""

_PROPERTIES = frozenset({
    "unit", "min", "max", "decimals", "displayName", "displayNameFromDS", "noValue", "color", "thresholds", "mappings",
    "links", "filterable", "description", "fieldMinMax", "actions", "writeable", "path", "nullValueMode", "title",
})  # fmt: skip
_MAPPINGS = frozenset({"value", "range", "regex", "special"})
_SPECIAL = frozenset({"true", "false", "null", "nan", "null+nan", "empty"})


@RULES.rule("option-value", Severity.ERROR, "Grafana falls back to something else, or the panel fails.")
def values(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Options that have a value Grafana does not have for them."""
    for panel in board.panels:
        if panel.type not in QUERYING_PANELS:
            continue
        for (kind, path), words in _OPTIONS.items():
            if kind not in (_ANY, panel.type):
                continue
            said = _at(panel, path)
            if isinstance(said, str) and said and said not in words.split():
                # A null that a library wrote as a word is read as if nothing stood there.
                severity = Severity.WARNING if said == "null" else None
                yield Hit(f"{panel.pointer}/{path}", f"expected {_either(words)}, found {said!r}", severity)
        mode = mapping(panel.defaults.get("color")).get("mode")
        if isinstance(mode, str) and mode and mode not in COLOR_MODES:
            place = f"{panel.pointer}/fieldConfig/defaults/color/mode"
            yield Hit(place, f"no colour mode {mode!r}{meant(mode, COLOR_MODES)}")
        for target in panel.targets:
            said = text(target.json.get("format"))
            if target.expr is not None and said and said not in ("time_series", "table", "heatmap"):
                yield Hit(f"{target.pointer}/format", f"expected time_series, table or heatmap, found {said!r}")
    if board.json.get("graphTooltip") not in (None, 0, 1, 2, False, True):
        yield Hit("/graphTooltip", f"expected 0, 1 or 2, found {board.json.get('graphTooltip')!r}")
    for variable in board.variables:
        for key, most in (("hide", 3), ("refresh", 2)):
            said = variable.json.get(key)
            if isinstance(said, int) and not isinstance(said, bool) and not 0 <= said <= most:
                yield Hit(f"{variable.pointer}/{key}", f"expected 0 to {most}, found {said}")


def _at(panel: Panel, path: str) -> object:
    value: object = panel.json
    for key in path.split("/"):
        value = mapping(value).get(key)
    return value


def _either(words: str) -> str:
    *most, last = words.split()
    return f"{', '.join(most)} or {last}"


@RULES.rule(
    "reduce-calc", Severity.ERROR, "Grafana does not know how to make one number of the series, and shows none."
)
def calculations(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Calculations that Grafana does not have; of values, legends and tooltips."""
    for panel in board.panels:
        for path in ("options/reduceOptions/calcs", "options/legend/calcs", "options/footer/reducer"):
            said = _at(panel, path)
            for i, one in enumerate(sequence(said)):
                if isinstance(one, str) and one not in REDUCERS:
                    yield Hit(f"{panel.pointer}/{path}/{i}", f"no calculation {one!r}{meant(one, REDUCERS)}")


@RULES.rule("mapping-invalid", Severity.ERROR, "The value is shown as it is, or the panel fails.")
def mappings(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Value mappings of unknown type or without what their type needs."""
    for panel in board.panels:
        for i, one in enumerate(sequence(panel.defaults.get("mappings"))):
            pointer, said = f"{panel.pointer}/fieldConfig/defaults/mappings/{i}", mapping(one)
            kind, options = said.get("type"), mapping(said.get("options"))
            if isinstance(kind, int) or (kind is None and "value" in said):
                continue  # as Grafana 7 wrote it
            if not isinstance(kind, str) or kind not in _MAPPINGS:
                yield Hit(f"{pointer}/type", f"expected value, range, regex or special, found {kind!r}")
            elif not isinstance(said.get("options"), dict):
                yield Hit(pointer, f"a mapping of the type {kind} without options")
            elif kind == "special" and options.get("match") not in _SPECIAL:
                severity = Severity.WARNING if options.get("match") is None else None
                said_ = f"expected one of {', '.join(sorted(_SPECIAL))}, found {options.get('match')!r}"
                yield Hit(f"{pointer}/options/match", said_, severity)
            elif kind == "range" and _falls(options.get("from"), options.get("to")):
                yield Hit(f"{pointer}/options", f"from {options['from']} is above to {options['to']}")
            elif kind == "regex" and not text(options.get("pattern")):
                yield Hit(f"{pointer}/options", "a regex mapping without a pattern")


def _falls(low: object, high: object) -> bool:
    return isinstance(low, int | float) and isinstance(high, int | float) and low > high


@RULES.rule("override-matcher", Severity.ERROR, "The override applies to nothing.")
def matchers(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Overrides by a matcher Grafana does not have, a pattern that does not compile, or a query that is not there."""
    for panel in board.panels:
        letters = {target.ref_id for target in panel.targets}
        for pointer, override in panel.overrides:
            matcher = mapping(override.get("matcher"))
            kind, options = matcher.get("id"), matcher.get("options")
            if not isinstance(kind, str) or kind not in FIELD_MATCHERS:
                yield Hit(f"{pointer}/matcher/id", f"no matcher {kind!r}{meant(str(kind), FIELD_MATCHERS)}")
            elif kind == "byRegexp" and isinstance(options, str) and (wrong := wrong_pattern(options)):
                yield Hit(f"{pointer}/matcher/options", f"no regular expression: {options} ({wrong})")
            elif kind == "byFrameRefID" and isinstance(options, str) and letters and options not in letters:
                yield Hit(f"{pointer}/matcher/options", f"there is no query {options!r}", Severity.WARNING)


@RULES.rule("override-property", Severity.ERROR, "The override changes nothing.")
def properties(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Properties that no field has."""
    for panel in board.panels:
        if panel.type not in QUERYING_PANELS:
            continue
        for pointer, override in panel.overrides:
            for i, one in enumerate(sequence(override.get("properties"))):
                said = mapping(one).get("id")
                place = f"{pointer}/properties/{i}/id"
                if not isinstance(said, str) or not said:
                    yield Hit(place, "a property without an id")
                elif said.startswith("custom."):
                    key = said.removeprefix("custom.").split(".")[0]
                    if key not in CUSTOM_KEYS:
                        severity = None if near(key, CUSTOM_KEYS) else Severity.NOTE
                        yield Hit(place, f"no property {said!r}{meant(key, CUSTOM_KEYS)}", severity)
                elif said not in _PROPERTIES:
                    yield Hit(place, f"no property {said!r}{meant(said, _PROPERTIES)}")


@RULES.rule("transformation-unknown", Severity.ERROR, "The panel fails, or shows what was not transformed.")
def transformations(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Transformations that Grafana does not have."""
    for panel in board.panels:
        for i, one in enumerate(sequence(panel.json.get("transformations"))):
            said = mapping(one).get("id")
            if not isinstance(said, str) or said not in TRANSFORMATIONS:
                place = f"{panel.pointer}/transformations/{i}/id"
                yield Hit(place, f"no transformation {said!r}{meant(str(said), TRANSFORMATIONS)}")
