"""Every file that was named, or lies in a folder that was: read once, told apart, judged by its kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring import config as configuration
from monitoring.checks import boards, configs, programs, rules, specs
from monitoring.checks.kinds import EXPECTED, Kind, is_board, kind_of, told_by
from monitoring.checks.model import Finding, from_mistakes
from monitoring.errors import InputError
from monitoring.paths import shown
from monitoring.rules.profile import Profile
from monitoring.spec import maintenance
from monitoring.yamltree import Node, Notes, documents

_SUFFIXES = (".yaml", ".yml", ".json")
_NO_INPUT = ("node_modules", "__pycache__")


@dataclass(frozen=True)
class _Input:
    """A file whose kind is known; `data` is what a JSON text says."""

    path: Path
    file: str
    text: str
    kind: Kind
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Result:
    """Everything found, in the order of files and lines; how many files of each kind there were."""

    findings: tuple[Finding, ...]
    counts: Mapping[Kind, int]
    left_alone: int
    """Files in folders that are of no kind known here."""

    @property
    def is_right(self) -> bool:
        """Whether there is nothing but warnings."""
        return all(finding.doubt for finding in self.findings)


def check(paths: Iterable[Path], profile: Profile, *, lenient: bool = False) -> Result:
    """Judge files and folders of files."""
    found: list[Finding] = []
    inputs: list[_Input] = []
    left_alone = 0
    for path, asked in _walk(paths):
        one = _told_apart(path, asked)
        if isinstance(one, _Input):
            inputs.append(one)
        elif one is None:
            left_alone += 1
        else:
            found.append(one)
    by_kind: dict[Kind, list[_Input]] = {kind: [one for one in inputs if one.kind is kind] for kind in Kind}
    found += specs.check([one.path for one in by_kind[Kind.SPEC]], profile, lenient=lenient)
    found += _rule_files(by_kind[Kind.RULES], by_kind[Kind.PROMETHEUS_RULE])
    for one in inputs:
        found += _alone(one)
    return Result(tuple(sorted(set(found))), Counter(one.kind for one in inputs), left_alone)


def _walk(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each file once, and whether it was named itself."""
    seen: set[Path] = set()
    for path in paths:
        files = [path] if not path.is_dir() else sorted(p for p in path.rglob("*") if _may_be_input(p, path))
        for file in files:
            if (resolved := file.resolve()) not in seen:
                seen.add(resolved)
                yield file, file is path


def _may_be_input(path: Path, below: Path) -> bool:
    inner = path.relative_to(below).parts
    hidden = any(part.startswith(".") or part in _NO_INPUT for part in inner)
    return path.suffix in _SUFFIXES and not hidden and path.is_file()


def _told_apart(path: Path, asked: bool) -> _Input | Finding | None:
    """What a file is; a finding when it cannot be told; None for a stranger in a folder."""
    file = shown(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return Finding(file, 1, f"cannot be read: {error}", doubt=not asked)
    data: Mapping[str, Any] | None = None
    if path.suffix == ".json":
        try:
            value = json.loads(text)
        except ValueError as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
            return Finding(file, line, f"not JSON: {error}", doubt=not asked)
        if is_board(value):
            return _Input(path, file, text, Kind.BOARD, value)
        kind = told_by({key: str(one) for key, one in value.items()}) if isinstance(value, dict) else None
    else:
        kind = kind_of(text)
        if kind is None and text.lstrip().startswith("{"):
            data = _board_in(text)
            kind = Kind.BOARD if data else None
    if kind is not None:
        return _Input(path, file, text, kind, data)
    if not asked:
        return None
    notes = Notes(file)
    documents(text, notes)
    if notes.mistakes:
        return from_mistakes(notes.mistakes)[0]
    return Finding(file, 1, f"not known what this is; expected one of: {EXPECTED}")


def _board_in(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if is_board(value) else None


def _rule_files(plain: Sequence[_Input], wrapped: Sequence[_Input]) -> list[Finding]:
    book = rules.RuleBook()
    found: list[Finding] = []
    for one in (*plain, *wrapped):
        for tree in _trees(one, found):
            groups = tree.child("spec") if one.kind is Kind.PROMETHEUS_RULE else tree
            if one.kind is Kind.PROMETHEUS_RULE and tree.scalar("kind") != "PrometheusRule":
                continue
            found += rules.check(one.file, groups or tree, book)
    found += book.across()
    # What we have found ourselves, in words that name the rule, promtool need not say again.
    known = {(finding.file, finding.line) for finding in found if not finding.doubt}
    told = programs.rules({one.path: one.file for one in plain}, book.places)
    return [*found, *(finding for finding in told if (finding.file, finding.line) not in known)]


def _trees(one: _Input, found: list[Finding]) -> list[Node]:
    notes = Notes(one.file)
    trees = documents(one.text, notes)
    found += from_mistakes(notes.mistakes)
    return trees


def _alone(one: _Input) -> list[Finding]:
    """Findings of a kind whose files have nothing to do with each other."""
    match one.kind:
        case Kind.BOARD:
            return list(boards.check(one.file, one.text, one.data or {}))
        case Kind.ALERTMANAGER | Kind.PROMETHEUS | Kind.RULE_TESTS:
            return _configuration(one)
        case Kind.PROJECT:
            return _project(one)
        case Kind.MAINTENANCE:
            return _maintenance(one)
    return []


def _configuration(one: _Input) -> list[Finding]:
    found: list[Finding] = []
    trees = _trees(one, found)
    for tree in trees[:1]:
        match one.kind:
            case Kind.ALERTMANAGER:
                found += configs.alertmanager(one.file, tree)
            case Kind.PROMETHEUS:
                found += configs.prometheus(one.file, tree)
            case Kind.RULE_TESTS:
                found += configs.rule_tests(one.file, one.path, tree)
    if found:
        return found
    if one.kind is Kind.ALERTMANAGER:
        return programs.alertmanager(one.path, one.file)
    return programs.prometheus(one.path, one.file) if one.kind is Kind.PROMETHEUS else []


def _project(one: _Input) -> list[Finding]:
    found: list[Finding] = []
    trees = _trees(one, found)
    if found or not trees:
        return found
    environments = trees[0].child("environments")
    names = list(environments.value) if environments and isinstance(environments.value, dict) else []
    try:
        configuration.load(one.path, names[0] if names else "production")
    except InputError as error:
        return from_mistakes(error.mistakes)
    return []


def _maintenance(one: _Input) -> list[Finding]:
    found: list[Finding] = []
    _trees(one, found)
    reader = getattr(maintenance, "load", None)
    if found or reader is None:
        return found
    try:
        reader(one.path)
    except InputError as error:
        return from_mistakes(error.mistakes)
    return []
