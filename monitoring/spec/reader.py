"""Reads OpenSLO v1 files: every refusal names file, line, path and what was expected.

`load` is the way in. Syntax first (`yamltree`), then shape (`openslo`), then meaning
(here); all mistakes of all files are raised together as one SpecError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from monitoring.errors import Mistake, OutOfRangeError, PromqlError, SpecError
from monitoring.maths.burn import error_budget
from monitoring.paths import shown
from monitoring.promql import counter_selector
from monitoring.spec import extensions
from monitoring.spec.model import WINDOW, EventSli, Query, Service, Slo
from monitoring.spec.openslo import API_VERSION, Metric, ServiceDocument, SloDocument
from monitoring.yamltree import Node, Notes, decode, documents, dotted

SUFFIXES = (".yaml", ".yml")
_HEADER = ("apiVersion", "kind")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RATIO = ("spec", "indicator", "spec", "ratioMetric")

D = TypeVar("D", ServiceDocument, SloDocument)


@dataclass(frozen=True)
class _Found(Generic[D]):
    """A document of the right shape, with its tree for the lines and the notes of its file."""

    kind: str
    document: D
    node: Node
    notes: Notes

    def note(self, message: str, *path: str | int) -> None:
        self.notes.add(self.node.line_of(*path), f"{dotted(path)}: {message}")


def load(paths: Sequence[Path]) -> tuple[Slo, ...]:
    """Every SLO in these files and directories, by name.

    Raises SpecError with all mistakes of all files.
    """
    mistakes: list[Mistake] = []
    services: list[_Found[ServiceDocument]] = []
    slos: list[_Found[SloDocument]] = []
    every_notes: list[Notes] = []
    for file in _files(paths, mistakes):
        notes = Notes(shown(file))
        every_notes.append(notes)
        _read(file, notes, services, slos)
    known = {found.document.metadata.name: _service(found) for found in _unique(services)}
    built = [slo for found in _unique(slos) if (slo := _slo(found, known))]
    mistakes += [mistake for notes in every_notes for mistake in notes.mistakes]
    if mistakes:
        raise SpecError(mistakes)
    return tuple(sorted(built, key=lambda slo: slo.name))


def _files(paths: Iterable[Path], mistakes: list[Mistake]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        elif path.is_file():
            yield path
        else:
            mistakes.append(Mistake(shown(path), 1, "no such file or directory"))


def _read(file: Path, notes: Notes, services: list[_Found[ServiceDocument]], slos: list[_Found[SloDocument]]) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        notes.add(1, f"cannot be read: {error}")
        return
    for node in documents(text, notes):
        kind = node.scalar("kind")
        if node.scalar("apiVersion") != API_VERSION:
            notes.add(
                node.line_of("apiVersion"), f"apiVersion: expected {API_VERSION}, found {node.scalar('apiVersion')!r}"
            )
        elif kind == "Service":
            service = decode(node.without(*_HEADER), ServiceDocument, notes)
            services += [_Found("Service", service, node, notes)] if service else []
        elif kind == "SLO":
            slo = decode(node.without(*_HEADER), SloDocument, notes)
            slos += [_Found("SLO", slo, node, notes)] if slo else []
        else:
            notes.add(node.line_of("kind"), f"kind: expected Service or SLO, found {kind!r}")


def _unique(found: Sequence[_Found[D]]) -> Iterator[_Found[D]]:
    """Each document once; a bad or repeated name is noted."""
    first: dict[str, _Found[D]] = {}
    for one in found:
        name = one.document.metadata.name
        if not _NAME.fullmatch(name):
            one.note(f"expected at most 63 of a-z, 0-9 and -, found {name!r}", "metadata", "name")
        if name in first:
            earlier = first[name]
            one.note(
                f"{one.kind} {name!r} exists already, in {earlier.notes.file}:{earlier.node.line}",
                "metadata",
                "name",
            )
        else:
            first[name] = one
            yield one


def _service(found: _Found[ServiceDocument]) -> Service:
    metadata = found.document.metadata
    return Service(metadata.name, metadata.display_name or metadata.name)


def _slo(found: _Found[SloDocument], services: dict[str, Service]) -> Slo | None:
    """The SLO a document stands for; None when something was noted."""
    before = len(found.notes.mistakes)
    document, metadata = found.document, found.document.metadata
    extras = extensions.read(
        metadata.annotations, lambda key, message: found.note(message, "metadata", "annotations", key)
    )
    _check_budgeting(found)
    sli = _sli(found)
    service = services.get(document.spec.service)
    if service is None:
        known = ", ".join(sorted(services)) or "none"
        found.note(f"no Service {document.spec.service!r} among the specs; there is {known}", "spec", "service")
    if service is None or sli is None or len(found.notes.mistakes) > before:
        return None
    return Slo(
        name=metadata.name,
        display_name=metadata.display_name or metadata.name,
        description=document.spec.description,
        service=service,
        target=document.spec.objectives[0].target,
        period=document.spec.time_window[0].duration,
        sli=sli,
        runbook=extras.runbook or metadata.name,
        dashboard=extras.dashboard,
        threshold_window=extras.threshold_window,
        min_bad_events=extras.min_bad_events,
        disabled_tiers=extras.disabled_tiers,
        file=found.notes.file,
        line=found.node.line,
    )


def _check_budgeting(found: _Found[SloDocument]) -> None:
    spec = found.document.spec
    if spec.budgeting_method != "Occurrences":
        message = f"expected Occurrences, found {spec.budgeting_method!r}: time slices are not supported yet"
        found.note(message, "spec", "budgetingMethod")
    if len(spec.time_window) != 1:
        found.note(f"expected exactly one time window, found {len(spec.time_window)}", "spec", "timeWindow")
    elif not spec.time_window[0].is_rolling:
        found.note("expected true: calendar windows are not supported yet", "spec", "timeWindow", 0, "isRolling")
    if len(spec.objectives) != 1:
        found.note(f"expected exactly one objective, found {len(spec.objectives)}", "spec", "objectives")
        return
    try:
        error_budget(spec.objectives[0].target)
    except OutOfRangeError as error:
        found.note(str(error), "spec", "objectives", 0, "target")


def _sli(found: _Found[SloDocument]) -> EventSli | None:
    ratio = found.document.spec.indicator.spec.ratio_metric
    if not ratio.counter:
        found.note("expected true: the queries must be counters", *_RATIO, "counter")
    if (ratio.good is None) == (ratio.bad is None):
        found.note("expected exactly one of good and bad", *_RATIO)
    total = _selector(found, ratio.total, "total")
    good = _selector(found, ratio.good, "good")
    bad = _selector(found, ratio.bad, "bad")
    return EventSli(total, good, bad) if total and (good or bad) else None


def _selector(found: _Found[SloDocument], metric: Metric | None, role: str) -> Query | None:
    if metric is None:
        return None
    try:
        selector = counter_selector(metric.metric_source.spec.query)
        return Query(f"sum(increase({selector}[{WINDOW}]))", (selector,))
    except PromqlError as error:
        found.note(str(error), *_RATIO, role, "metricSource", "spec", "query")
        return None
