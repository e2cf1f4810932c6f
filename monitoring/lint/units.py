"""Units: that there is one, and that Grafana knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitoring.dollars import names_in
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, Panel, mapping, sequence, text
from monitoring.lint.registry import UNITS, near

RULES = Rules()

_NUMERIC = frozenset({"timeseries", "stat", "gauge", "bargauge", "heatmap", "piechart", "barchart", "histogram",
                      "graph", "singlestat", "trend"})  # fmt: skip
"""Panels that show numbers and nothing else; a table's columns each have their own unit."""
_FORMS = ("prefix:", "suffix:", "time:", "si:", "count:", "currency:", "bool:")
_MEANT: Mapping[str, str] = {
    "second": "s", "seconds": "s", "sec": "s", "secs": "s", "millisecond": "ms", "milliseconds": "ms", "msec": "ms",
    "millisec": "ms",
    "millis": "ms", "microseconds": "µs", "us": "µs", "nanoseconds": "ns", "minutes": "m", "min": "m", "hours": "h",
    "days": "d", "byte": "bytes", "kb": "kbytes", "mb": "mbytes", "gb": "gbytes", "tb": "tbytes", "mib": "mbytes",
    "gib": "gbytes", "bit": "bits", "percentage": "percent", "%": "percent", "pct": "percent",
    "percentunits": "percentunit",
    "ratio": "percentunit", "bytes/s": "Bps", "bytes/sec": "Bps", "b/s": "Bps", "bit/s": "bps", "bits/s": "bps",
    "req/s": "reqps", "rps": "reqps", "requests/s": "reqps", "ops/s": "ops", "opsps": "ops", "messages/s": "mps",
    "cps": "cps", "celcius": "celsius", "degc": "celsius", "number": "none", "count": "short", "integer": "none",
    "date": "dateTimeAsIso", "datetime": "dateTimeAsIso", "usd": "currencyUSD", "euro": "currencyEUR",
}  # fmt: skip


def units(panel: Panel) -> Iterator[tuple[str, str]]:
    """Every unit a panel names, today's ways and older ones, with its pointer."""
    places: list[tuple[str, object]] = [("/fieldConfig/defaults/unit", panel.defaults.get("unit"))]
    for pointer, override in panel.overrides:
        for i, one in enumerate(sequence(override.get("properties"))):
            if mapping(one).get("id") == "unit":
                yield from _text(f"{pointer}/properties/{i}/value", mapping(one).get("value"))
    if panel.type == "heatmap":
        options = mapping(panel.json.get("options"))
        places += [(f"/options/{key}/unit", mapping(options.get(key)).get("unit")) for key in ("yAxis", "cellValues")]
    if panel.type in ("singlestat", "gauge", "heatmap"):
        places.append(("/format", panel.json.get("format")))
        places.append(("/yAxis/format", mapping(panel.json.get("yAxis")).get("format")))
    if panel.type == "graph":
        for i, axis in enumerate(sequence(panel.json.get("yaxes"))):
            places.append((f"/yaxes/{i}/format", mapping(axis).get("format")))
        for i, unit in enumerate(sequence(panel.json.get("y_formats"))):
            places.append((f"/y_formats/{i}", unit))
    for i, style in enumerate(sequence(panel.json.get("styles"))):
        if mapping(style).get("type") == "number":
            places.append((f"/styles/{i}/unit", mapping(style).get("unit")))
    for place, value in places:
        yield from _text(panel.pointer + place, value)


def _text(pointer: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value:
        yield pointer, value


@RULES.rule("unit-missing", Severity.WARNING, "1500 can be seconds, bytes or people; whoever reads it guesses.")
def missing(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Panels of numbers without a unit."""
    for panel in board.panels:
        if panel.type not in _NUMERIC or panel.json.get("libraryPanel") or _shows_words(panel):
            continue
        if not list(units(panel)):
            yield Hit(panel.pointer, f"{panel.title or panel.type!r} has no unit")


def _shows_words(panel: Panel) -> bool:
    """Whether what is shown is a text: a field's, a name, or what each value is mapped to."""
    options = mapping(panel.json.get("options"))
    reduce = mapping(options.get("reduceOptions"))
    mapped = any(
        mapping(one).get("options") or mapping(one).get("text") for one in sequence(panel.defaults.get("mappings"))
    )
    old = bool(sequence(panel.json.get("valueMaps"))) and panel.json.get("mappingType") == 1
    has_map = old and any(
        mapping(one).get("value") not in (None, "null") for one in sequence(panel.json.get("valueMaps"))
    )
    return (
        options.get("textMode") == "name"
        or bool(text(reduce.get("fields")))
        or (panel.type in ("stat", "gauge", "bargauge") and mapped)
        or has_map
        or panel.json.get("valueName") == "name"
    )


@RULES.rule(
    "unit-unknown", Severity.ERROR, "Grafana writes what it does not know behind the number, and scales nothing."
)
def unknown(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Units that are none of Grafana's, and none of its forms for units of one's own."""
    for panel in board.panels:
        for pointer, unit in units(panel):
            if unit in UNITS or unit.startswith(_FORMS) or names_in(unit):
                continue
            guess = _MEANT.get(unit.lower()) or near(unit, UNITS) or _MEANT.get(near(unit, _MEANT) or "")
            said = f'no unit "{unit}" in Grafana'
            if guess and guess in UNITS:
                yield Hit(pointer, f'{said} (did you mean "{guess}"?)')
            else:
                yield Hit(pointer, f'{said}; "suffix:{unit}" says that it is meant', Severity.WARNING)
