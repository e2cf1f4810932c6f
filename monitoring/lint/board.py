"""The dashboard as a whole: its version, its name, its time, its links and marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import available_timezones

from monitoring.dollars import names_in
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, mapping, sequence, text
from monitoring.lint.registry import SCHEMA_VERSION

RULES = Rules()

_OVERWRITING_MIGRATION = 13
"""The migration that follows this version overwrites the shared crosshair; those before it rewrite panels."""
_ROWS_END = 16
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_INTERVAL = re.compile(r"\d+(?:\.\d+)?(?:ms|[smhdwMy])")
_RELATIVE = re.compile(
    r"now(?:(?P<sign>[-+])(?P<n>\d+)(?P<unit>[smhdwMQyf]+))?(?P<more>(?:[-+]\d+[smhdwMQyf]+)*)(?:/f?[smhdwMQy])?"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "Q": 7776000, "y": 31536000}
_TIMEZONES = frozenset({"", "browser", "utc"})


@RULES.rule(
    "schema-version",
    Severity.ERROR,
    "Grafana rewrites a board of an old version as it loads it, and settings are lost.",
)
def schema_version(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Versions that are missing, of another decade, or of no Grafana yet."""
    version = board.json.get("schemaVersion")
    if isinstance(version, str) and version.isdigit():
        version = int(version)  # json-shape tells of the quotes
    if isinstance(version, bool) or not isinstance(version, int):
        severity = None if version is not None or not board.json.get("rows") else Severity.WARNING
        yield Hit("/schemaVersion", f"expected {SCHEMA_VERSION}, found {version!r}", severity)
    elif version <= _OVERWRITING_MIGRATION:
        # A board that is laid out in rows is of that age; anything else only says so.
        severity = Severity.WARNING if board.json.get("rows") else None
        yield Hit(
            "/schemaVersion", f"expected {SCHEMA_VERSION}, found {version}: migrations overwrite settings", severity
        )
    elif version > SCHEMA_VERSION:
        yield Hit("/schemaVersion", f"{version} is newer than {SCHEMA_VERSION}, the last there is", Severity.WARNING)
    elif version < SCHEMA_VERSION:
        severity = Severity.WARNING if version < _ROWS_END and not board.json.get("rows") else Severity.NOTE
        yield Hit("/schemaVersion", f"{version} is migrated to {SCHEMA_VERSION} as Grafana loads it", severity)


@RULES.rule("uid-missing", Severity.WARNING, "Without a uid every import makes a new dashboard, and no link lasts.")
def uid_missing(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Dashboards without a uid."""
    if not board.json.get("uid"):
        yield Hit("/uid", "no uid")


@RULES.rule("uid-invalid", Severity.ERROR, "Grafana refuses the board.")
def uid_invalid(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Of a uid: more than 40 characters, or others than letters, digits, dash and underscore."""
    uid = text(board.json.get("uid"))
    if uid and not _UID.fullmatch(uid):
        yield Hit("/uid", f"{uid!r} is no uid: 1 to 40 letters, digits, dashes and underscores")


@RULES.rule("title-missing", Severity.ERROR, "Nobody can find or tell what has no name.")
def title_missing(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Dashboards and panels without a title."""
    if not (text(board.json.get("title")) or "").strip():
        yield Hit("/title", "the dashboard has no title")
    for panel in board.panels:
        unsaid = not panel.title.strip() and panel.shows_data and not panel.json.get("libraryPanel")
        if unsaid and not panel.json.get("transparent"):
            yield Hit(panel.pointer, f"a {panel.type or 'panel'} without a title", Severity.WARNING)


@RULES.rule(
    "editable", Severity.WARNING, "What is changed in Grafana is lost at the next deploy; the file is the truth."
)
def editable(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Boards that can be edited where they are shown; absent means so too."""
    if board.json.get("editable", True) is not False:
        yield Hit("/editable", "the board can be edited in Grafana; false keeps it as the file says")


@RULES.rule("time-range", Severity.ERROR, "The board opens on no time at all.")
def time_range(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Beginnings and ends that are no times, and a beginning after the end."""
    time = mapping(board.json.get("time"))
    told = [(key, time.get(key)) for key in ("from", "to") if key in time]
    read = {key: _seconds(str(value)) for key, value in told}
    for key, value in told:
        if read[key] is None and value is not None:
            yield Hit(f"/time/{key}", f"not a time: {value!r}; like now-6h, now/d or 2030-01-01T00:00:00Z")
    begin, end = read.get("from"), read.get("to")
    if begin and end and begin[0] == end[0] and begin[1] >= end[1] and not (begin[1] == end[1] and "/" in str(time)):
        yield Hit("/time", f"from {time['from']!r} is not before to {time['to']!r}")


def _seconds(value: str) -> tuple[str, float] | None:
    """How the time is told, and where it lies, in seconds; relative ones to now."""
    if names_in(value):
        return ("variable", 0.0)
    if value.isdigit():
        return ("absolute", int(value) / 1000)
    if found := _RELATIVE.fullmatch(value.strip()):
        if not found["n"]:
            return ("relative", 0.0)
        unit = found["unit"].lstrip("f")[:1]
        offset = int(found["n"]) * _SECONDS.get(unit, 1)
        return ("relative", float(-offset if found["sign"] == "-" else offset))
    try:
        return ("absolute", datetime.fromisoformat(value.replace("Z", "+00:00")).replace(tzinfo=None).timestamp())
    except ValueError:
        return None


@RULES.rule("refresh-invalid", Severity.ERROR, "The board does not refresh itself.")
def refresh(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Refresh intervals that are no durations; also those the picker offers."""
    said = board.json.get("refresh")
    if isinstance(said, str) and said not in ("", "auto") and not _INTERVAL.fullmatch(said) and not names_in(said):
        yield Hit("/refresh", f"not a duration: {said!r}; like 10s or 1m")
    if said is True:
        yield Hit("/refresh", "expected a duration like 10s, found true")
    for i, one in enumerate(sequence(mapping(board.json.get("timepicker")).get("refresh_intervals"))):
        if not isinstance(one, str) or not (_INTERVAL.fullmatch(one) or one == "auto"):
            yield Hit(f"/timepicker/refresh_intervals/{i}", f"not a duration: {one!r}")


@RULES.rule("timezone", Severity.WARNING, "Grafana falls back to the browser's time zone.")
def timezone(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Time zones that nobody knows."""
    zone = text(board.json.get("timezone"))
    if zone and zone.lower() not in _TIMEZONES and zone not in available_timezones():
        yield Hit("/timezone", f"no time zone {zone!r}")


@RULES.rule("interval-invalid", Severity.ERROR, "The panel asks with another step than is meant, or not at all.")
def interval(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Intervals and time shifts of panels that are no durations."""
    for panel in board.panels:
        for key in ("interval", "timeFrom", "timeShift"):
            said = text(panel.json.get(key))
            if not said or names_in(said):
                continue
            if not _INTERVAL.fullmatch(said.lstrip(">= ").lstrip("-")) and _seconds(said) is None and "/" not in said:
                yield Hit(f"{panel.pointer}/{key}", f"not a duration: {said!r}")
        for target in panel.targets:
            said = text(target.json.get("interval"))
            if said and target.expr is not None and not names_in(said) and not _INTERVAL.fullmatch(said.strip(">= ")):
                yield Hit(f"{target.pointer}/interval", f"not a duration: {said!r}")


@RULES.rule("link-invalid", Severity.ERROR, "The link leads nowhere.")
def link(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Links without an address, or of a type that Grafana does not have."""
    for i, one in enumerate(sequence(board.json.get("links"))):
        kind = mapping(one).get("type", "link")
        if kind not in ("link", "dashboards"):
            yield Hit(f"/links/{i}/type", f"expected link or dashboards, found {kind!r}")
        elif kind == "link" and not mapping(one).get("url"):
            yield Hit(f"/links/{i}", f"the link {mapping(one).get('title')!r} has no url")
    for panel in board.panels:
        for i, one in enumerate(sequence(panel.json.get("links"))):
            ways = ("url", "dashboard", "dashUri", "href", "params")
            if isinstance(one, dict) and not any(one.get(key) for key in ways):
                yield Hit(f"{panel.pointer}/links/{i}", f"the link {one.get('title')!r} has no url")


@RULES.rule("link-forgets", Severity.NOTE, "Who follows it loses the time and the choices that show the trouble.")
def link_forgets(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Links to other boards that keep neither time nor variables."""
    for i, one in enumerate(sequence(board.json.get("links"))):
        lost = [key for key in ("keepTime", "includeVars") if mapping(one).get(key) is not True]
        if mapping(one).get("type") == "dashboards" and lost:
            yield Hit(f"/links/{i}", f"without {' and '.join(lost)}")


@RULES.rule("annotation-invalid", Severity.WARNING, "Nothing is ever marked.")
def annotation(board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Annotations from Prometheus that ask nothing."""
    for i, one in enumerate(sequence(mapping(board.json.get("annotations")).get("list"))):
        said = mapping(one)
        asks = said.get("expr") or mapping(said.get("target")).get("expr")
        if board.datasource_kind(said.get("datasource")) == "prometheus" and not said.get("builtIn") and not asks:
            yield Hit(f"/annotations/list/{i}", f"{said.get('name')!r} has no expr")
