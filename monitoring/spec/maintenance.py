"""Maintenance: spans of time in which bad events were agreed on beforehand.

One YAML file feeds Alertmanager (nobody is paged), on-call and the mathematics (the
budget is told with and without them). A span is declared before it starts; whoever
corrects the record later says who and why. `declared` is what its author writes; the
history of the file is what proves it.

Nothing here asks the clock: what is generated from the file depends on the file alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from monitoring.errors import SpecError
from monitoring.paths import shown
from monitoring.spec.model import Slo
from monitoring.yamltree import Node, Notes, decode, documents

MAX_LENGTH = timedelta(days=7)
"""Longer is more likely a slip of the pen than an agreement; `long: true` says that it is meant."""
MAX_LONG = timedelta(days=90)
"""Nobody is unreachable for a quarter and calls it maintenance."""
MIN_REASON_WORDS = 3
_YEARS = range(2000, 2101)

Note = Callable[[str, str], None]
"""Notes a message at a key of the span."""


@dataclass(frozen=True)
class Maintenance:
    """One span, `start` <= t < `end`, both aware; without services and SLOs it covers everything."""

    id: str
    start: datetime
    end: datetime
    author: str
    reason: str
    services: frozenset[str] = frozenset()
    slos: frozenset[str] = frozenset()
    correction: bool = False
    """Declared after it had started."""
    file: str = ""
    line: int = 1
    declared: datetime | None = None
    """When it was written down, aware; None counts as long before."""

    @property
    def everything(self) -> bool:
        """Whether it names nothing, and so covers all there is."""
        return not self.services and not self.slos

    def covers(self, slo: Slo) -> bool:
        """Whether bad events of this SLO were agreed on."""
        return self.everything or slo.service.name in self.services or slo.name in self.slos


class _Span(msgspec.Struct):
    """A span as it is written."""

    id: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", examples=["new-database"])]
    start: str
    end: str
    declared: str
    services: tuple[str, ...] | None = None
    slos: tuple[str, ...] | None = None
    author: str = ""
    reason: str = ""
    correction: bool = False
    long: bool = False


def load_maintenance(path: Path, slos: Sequence[Slo] | None, services: Collection[str] = ()) -> tuple[Maintenance, ...]:
    """Every span of the file, by start. Raises SpecError with every mistake in it.

    A span may name the SLOs given, their services, and `services`, which have alerts
    but no SLO; with None for the SLOs, whoever reads the file has no specs and names are
    not looked at. A file without a span is right.
    """
    notes = Notes(shown(path))
    known = (
        None
        if slos is None
        else {
            "slos": {slo.name for slo in slos},
            "services": {slo.service.name for slo in slos} | set(services),
        }
    )
    found = [span for i, node in enumerate(_nodes(path, notes)) if (span := _span(node, i, known, notes))]
    _check_ids(found, notes)
    if notes.mistakes:
        raise SpecError(notes.mistakes)
    return tuple(sorted(found, key=lambda span: (span.start, span.end, span.id)))


def spans(maintenances: Iterable[Maintenance], slo: Slo) -> tuple[tuple[int, int], ...]:
    """When this SLO is in maintenance: (start, end) in Unix seconds, start <= t < end, in order and apart.

    Overlapping and touching spans are one. A fraction of a second counts as a whole one.
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted(_unix(one) for one in maintenances if one.covers(slo)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _unix(span: Maintenance) -> tuple[int, int]:
    epoch, second = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
    return (span.start - epoch) // second, -((epoch - span.end) // second)


def _nodes(path: Path, notes: Notes) -> tuple[Node, ...]:
    """The items of the list that the file is."""
    try:
        found = documents(path.read_text(encoding="utf-8"), notes)
    except (OSError, UnicodeDecodeError) as error:
        notes.add(1, f"cannot be read: {error}")
        return ()
    if len(found) > 1:
        notes.add(found[1].line, f"expected one YAML document, found {len(found)}")
    elif found and isinstance(found[0].value, tuple):
        return found[0].value
    elif found and found[0].value is not None:
        notes.add(found[0].line, "expected a list of spans, each with id, start, end and declared")
    return ()


def _span(node: Node, index: int, known: dict[str, set[str]] | None, notes: Notes) -> Maintenance | None:
    path, before = f"[{index}]", len(notes.mistakes)
    written = decode(node, _Span, notes, path=(index,))
    if written is None:
        return None

    def note(key: str, message: str) -> None:
        notes.add(node.line_of(key), f"{path}.{key}: {message}")

    _check_names(written, known, note)
    start, end, declared = (_moment(getattr(written, key), key, note) for key in ("start", "end", "declared"))
    if start and end and declared:
        _check_times(written, start, end, declared, note)
    if written.correction:
        _check_correction(written, note)
    if not start or not end or not declared or len(notes.mistakes) > before:
        return None
    return Maintenance(
        id=written.id,
        start=start,
        end=end,
        author=written.author,
        reason=written.reason,
        services=frozenset(written.services or ()),
        slos=frozenset(written.slos or ()),
        correction=written.correction,
        file=notes.file,
        line=node.line,
        declared=declared,
    )


def _moment(text: str, key: str, note: Note) -> datetime | None:
    """The time in UTC; None when it was refused."""
    example = "expected a date and time with its offset, as in 2030-05-01T22:00:00+02:00"
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is None:
            note(key, f"{text} does not say which offset it is meant in; {example}")
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        note(key, f"{text!r} is no moment; {example}")
        return None
    if moment.year not in _YEARS:
        note(key, f"expected a year from {_YEARS[0]} to {_YEARS[-1]}, found {text}")
        return None
    return moment


def _check_times(written: _Span, start: datetime, end: datetime, declared: datetime, note: Note) -> None:
    longest = MAX_LONG if written.long else MAX_LENGTH
    if end <= start:
        note("end", f"expected a moment after the start {written.start}, found {written.end}")
    elif end - start > longest:
        remedy = "" if written.long else "; `long: true` says that it is meant"
        note("end", f"{(end - start).days} days are more than {longest.days}{remedy}")
    if written.correction and declared < start:
        note("correction", "declared before the start: this is no correction, leave the key out")
    if not written.correction and declared >= start:
        note("declared", "not before the start; who adds a span later says `correction: true`, author and reason")


def _check_correction(written: _Span, note: Note) -> None:
    if not written.author.strip():
        note("author", "a correction says who made it")
    if len(re.findall(r"\w+", written.reason)) < MIN_REASON_WORDS:
        note("reason", f"a correction says why, in at least {MIN_REASON_WORDS} words")


def _check_names(written: _Span, known: dict[str, set[str]] | None, note: Note) -> None:
    for key, what in (("services", "service"), ("slos", "SLO")):
        names: tuple[str, ...] | None = getattr(written, key)
        if names == ():
            note(key, "an empty list names nothing, and a span that names nothing covers everything; leave the key out")
        there = None if known is None else known[key]
        for name in sorted(set(names or ()) - there) if there is not None else ():
            note(key, f"no {what} {name!r} among the specs; there is {', '.join(sorted(there or ())) or 'none'}")


def _check_ids(found: Iterable[Maintenance], notes: Notes) -> None:
    first: dict[str, Maintenance] = {}
    for span in found:
        earlier = first.setdefault(span.id, span)
        if earlier is not span:
            notes.add(span.line, f"the id {span.id!r} is taken, in line {earlier.line}")
