"""Dashboards, whoever drew them, with the line of each thing that is wrong; pure: promtool is asked before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.checks.jsonlines import line_of, lines, twice
from monitoring.checks.model import Finding, Subject
from monitoring.lint.asked import asked
from monitoring.lint.model import Finding as LintFinding
from monitoring.lint.model import Hit, Known, Rules, Severity
from monitoring.lint.read import Dashboard, text
from monitoring.lint.run import lint
from monitoring.lint.wrapped import board_in

OF_FILES = Rules()
"""Rules that a dashboard by itself cannot break: they judge its text, or several files."""


@dataclass(frozen=True)
class Source:
    """A dashboard and where it was found: `line` lines below the beginning of a file, under a name inside it."""

    file: str
    text: str
    json: Mapping[str, Any]
    prefix: str = ""
    """The pointer at which the dashboard lies in the text."""
    line: int = 0
    name: str = ""


def sources(file: str, text_: str, value: Mapping[str, Any], line: int = 0, name: str = "") -> Source:
    """A file's dashboard, taken out of what wraps it; `value` must hold one."""
    inner, prefix = board_in(value) or (value, "")
    return Source(file, text_, inner, prefix, line, name)


def expressions(some: Sequence[Source]) -> list[str]:
    """Every expression of some dashboards, with variables put in; for a second parser."""
    found = (one.expanded.expr for source in some for one in asked(Dashboard(source.json)) if one.expanded)
    return list(dict.fromkeys(found))


def check(source: Source, known: Known) -> Iterator[Finding]:
    """Everything wrong with one dashboard, in the order of its lines."""
    if "elements" in source.json and "layout" in source.json:
        message = "a dashboard of schema v2 (elements and layout) is not read; export it as the classic model"
        yield Finding(source.file, source.line + 1, message)
        return
    found = [*_of_text(source), *lint(source.json, known)]
    places = lines(source.text) if found else {}
    for one in found:
        line = source.line + line_of(places, source.prefix + one.pointer)
        yield _finding(source, one, line)


def _finding(source: Source, one: LintFinding, line: int) -> Finding:
    said = " ".join(f"{one.message} [{one.rule.id}]".split())
    message = f"{source.name}: {said}" if source.name else said
    uid = text(source.json.get("uid")) or ""
    subject = Subject(
        one.rule.id, one.rule.reason, source.prefix + one.pointer, uid, one.panel, one.panel_id, one.ref_id
    )
    return Finding(
        source.file, line, message, one.severity is not Severity.ERROR, one.severity is Severity.NOTE, subject
    )


@OF_FILES.rule(
    "json-duplicate-key", Severity.ERROR, "Of two values of one key a reader keeps the last, and the first is lost."
)
def _duplicate_key(_board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Told of the text, by `_of_text`."""
    yield from ()


@OF_FILES.rule(
    "uid-duplicate", Severity.ERROR, "Grafana keeps one of two boards with one uid, and only its log says so."
)
def _uid_duplicate(_board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Told of several files, by `across`."""
    yield from ()


@OF_FILES.rule("title-duplicate", Severity.ERROR, "In one folder Grafana keeps one of two boards with one title.")
def _title_duplicate(_board: Dashboard, _known: Known) -> Iterator[Hit]:
    """Told of several files, by `across`."""
    yield from ()


_DUPLICATE_KEY, _UID, _TITLE = OF_FILES.rules


class _Seen(Exception):
    """A key stood twice."""


def _of_text(source: Source) -> Iterator[LintFinding]:
    try:
        json.loads(source.text, object_pairs_hook=_once, parse_constant=_no_constant)
    except _Seen:
        for pointer, _line in twice(source.text):
            inside = pointer.removeprefix(source.prefix)
            yield LintFinding(_DUPLICATE_KEY, Severity.ERROR, inside, f"{pointer} stands twice")
    except ValueError as error:
        yield LintFinding(_DUPLICATE_KEY, Severity.ERROR, "", str(error))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Seen
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON, and Grafana does not read it")


def across(some: Sequence[Source]) -> Iterator[Finding]:
    """What several dashboards have in common and must not: their uid, and in one folder their title."""
    for rule, key in ((_UID, "uid"), (_TITLE, "title")):
        first: dict[tuple[str, str], Source] = {}
        for source in some:
            value = text(source.json.get(key))
            if not value:
                continue
            folder = source.file.rpartition("/")[0] if key == "title" else ""
            other = first.setdefault((folder, value), source)
            if other is not source and other.json != source.json:
                told = f"the {key} {value!r} is that of {other.name or other.file} too"
                hit = LintFinding(rule, Severity.ERROR, f"/{key}", told)
                yield _finding(source, hit, source.line + line_of(lines(source.text), f"{source.prefix}/{key}"))
