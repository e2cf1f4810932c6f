"""Every file that was named, or lies in a folder that was: read once, told apart, judged by its kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from monitoring import config as configuration
from monitoring.checks import boards, configs, programs, rules, specs
from monitoring.checks.exclusions import Exclusion, apply
from monitoring.checks.kinds import EXPECTED, Kind, is_board, kind_of, told_by
from monitoring.checks.model import Finding, from_mistakes
from monitoring.errors import InputError
from monitoring.lint.metrics import Metrics
from monitoring.lint.model import Known, Severity
from monitoring.paths import shown
from monitoring.rules.profile import Profile
from monitoring.spec import maintenance
from monitoring.spec.model import Slo
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
    excluded: int = 0
    """Findings that an exclusion covers; they are not among `findings`."""

    def worst(self) -> Severity | None:
        """The severity of the worst finding; None without any."""
        return max((finding.severity for finding in self.findings), default=None)


def check(
    paths: Iterable[Path],
    profile: Profile,
    *,
    lenient: bool = False,
    metrics: Metrics | None = None,
    exclusions: Sequence[Exclusion] = (),
) -> Result:
    """Judge files and folders of files; dashboards also by which `metrics` there are."""
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
    with ThreadPoolExecutor(1) as pool:
        # promtool takes about as long as we do: both at once.
        promtool = pool.submit(programs.rules, {one.path: one.file for one in by_kind[Kind.RULES]})
        told, slos = specs.check([one.path for one in by_kind[Kind.SPEC]], profile, lenient=lenient)
        found += told
        for one in by_kind[Kind.MAINTENANCE]:
            found += _maintenance(one, slos)
        found += _rule_files([*by_kind[Kind.RULES], *by_kind[Kind.PROMETHEUS_RULE]], promtool)
    for one in inputs:
        found += _alone(one)
    found += _boards(inputs, by_kind[Kind.PROVISIONING], metrics, found)
    left, excluded = apply(sorted(set(found)), exclusions)
    return Result(tuple(left), Counter(one.kind for one in inputs), left_alone, excluded)


def _boards(
    inputs: Sequence[_Input], provisioning: Sequence[_Input], metrics: Metrics | None, found: list[Finding]
) -> Iterator[Finding]:
    """All dashboards, those inside ConfigMaps too, beside the data sources that lie with them."""
    some = [boards.sources(one.file, one.text, one.data or {}) for one in inputs if one.kind is Kind.BOARD]
    some += [source for one in inputs if one.kind is Kind.CONFIG_MAP for source in _in_config_map(one, found)]
    if not some:
        return
    refused = programs.expressions(boards.expressions(some))
    known = Known(metrics, _datasources(provisioning), refused)
    for source in some:
        yield from boards.check(source, known)
    yield from boards.across(some)


def _datasources(provisioning: Sequence[_Input]) -> frozenset[str] | None:
    """Names and uids of the data sources that are provisioned; None when no file says."""
    told: set[str] = set()
    for one in provisioning:
        for tree in documents(one.text, Notes(one.file)):
            listed = tree.child("datasources")
            for item in listed.value if listed and isinstance(listed.value, tuple) else ():
                told |= {str(name) for key in ("name", "uid") if (name := item.scalar(key))}
    return frozenset(told) or None


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
    if path.exists() and not path.is_file():
        return Finding(file, 1, "cannot be read: no regular file")  # a device or a pipe may never end
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return Finding(file, 1, f"cannot be read: {error}", doubt=not asked)
    data: Mapping[str, Any] | None = None
    if path.suffix == ".json":
        try:
            value = _json(text)
        except ValueError as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
            return Finding(file, line, f"not JSON: {error}", doubt=not asked)
        if is_board(value) or (
            asked and isinstance(value, dict) and told_by({k: str(v) for k, v in value.items()}) is None
        ):
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


def _json(text: str) -> Any:
    """Raises ValueError, also for what is nested deeper than it can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _board_in(text: str) -> Mapping[str, Any] | None:
    try:
        value = _json(text)
    except ValueError:
        return None
    return value if is_board(value) else None


def _rule_files(some: Sequence[_Input], asked: Future[list[Finding]]) -> list[Finding]:
    """Our own findings, then those of promtool (`asked`)."""
    book = rules.RuleBook()
    found: list[Finding] = []
    for one in some:
        for tree in _trees(one, found):
            found += _rules_of(one, tree, book)
    found += book.across()
    # What we have found ourselves, in words that name the rule, promtool need not say again.
    known = {(finding.file, finding.line) for finding in found if not finding.doubt}
    placed = (programs.placed(finding, book.places) for finding in asked.result())
    return [*found, *(finding for finding in placed if (finding.file, finding.line) not in known)]


def _rules_of(one: _Input, tree: Node, book: rules.RuleBook) -> list[Finding]:
    if one.kind is Kind.RULES:
        return list(rules.check(one.file, tree, book))
    if tree.scalar("kind") != "PrometheusRule":
        return []
    return list(rules.check(one.file, tree.child("spec") or tree, book))


def _trees(one: _Input, found: list[Finding]) -> list[Node]:
    notes = Notes(one.file)
    trees = documents(one.text, notes)
    found += from_mistakes(notes.mistakes)
    return trees


def _alone(one: _Input) -> list[Finding]:
    """Findings of a kind whose files have nothing to do with each other."""
    match one.kind:
        case Kind.ALERTMANAGER | Kind.PROMETHEUS | Kind.RULE_TESTS:
            return _configuration(one)
        case Kind.PROJECT:
            return _project(one)
    return []


def _in_config_map(one: _Input, found: list[Finding]) -> Iterator[boards.Source]:
    """The dashboards in it; whatever else it holds is no concern of ours."""
    for tree in _trees(one, found):
        data = tree.child("data")
        for key, node in data.value.items() if data and isinstance(data.value, dict) else ():
            if not key.endswith(".json") or not isinstance(node.value, str):
                continue
            try:
                value = _json(node.value)
            except ValueError as error:
                found.append(Finding(one.file, node.line, f"{key}: not JSON: {error}"))
                continue
            if is_board(value):
                # In a literal block the text begins on the next line; anywhere else it is one line.
                is_block = one.text.splitlines()[node.line - 1].rstrip().endswith(("|", "|-", "|+"))
                if is_block:
                    yield boards.sources(one.file, node.value, value, node.line, key)
                else:
                    yield boards.sources(one.file, " ".join(node.value.splitlines()), value, node.line - 1, key)


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


def _maintenance(one: _Input, slos: Sequence[Slo]) -> list[Finding]:
    """Names must be those of the specs that are checked with it; without any, names are taken as right."""
    found: list[Finding] = []
    trees = _trees(one, found)
    reader = getattr(maintenance, "load_maintenance", None)
    if found or reader is None:
        return found
    known: Sequence[Any] = slos or [
        SimpleNamespace(name=name, service=SimpleNamespace(name=name)) for tree in trees for name in _named(tree)
    ]
    try:
        reader(one.path, known)
    except InputError as error:
        return from_mistakes(error.mistakes)
    return []


def _named(tree: Node) -> Iterator[str]:
    for span in tree.value if isinstance(tree.value, tuple) else ():
        for names in (span.child("slos"), span.child("services")):
            if names and isinstance(names.value, tuple):
                yield from (str(name.value) for name in names.value)
