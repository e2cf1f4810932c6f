"""The checklist as data, and what became of it. Pure: nothing here asks a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import Any

import yaml

BLANK = re.compile(r"\{(\w+)\}")
UNKNOWN = "not measured"


class State(StrEnum):
    """What became of a box, the worst first."""

    FAILED = "failed"
    NOT_RUN = "not run"
    PERSON = "needs a person"
    TICKED = "ticked"


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found. `evidence` says in a sentence how one knows; `figures` fill blanks, as they are shown."""

    state: State
    evidence: str
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Box:
    """One box; exactly one of `check`, `person` and `boxes` is given."""

    text: str
    check: str | None = None
    person: str | None = None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Boxes under a title."""

    title: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Sections under a title."""

    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """A box and what became of it: its text without blanks, and its evidence, empty for one that has boxes."""

    text: str
    state: State
    evidence: str
    boxes: tuple[Filled, ...] = ()


def read() -> tuple[Part, ...]:
    """The list that comes with the package."""
    text = files("monitoring.verify").joinpath("checklist.yaml").read_text(encoding="utf-8")
    return tuple(
        Part(part["title"], tuple(Section(s["title"], _boxes(s["boxes"])) for s in part["sections"]))
        for part in yaml.safe_load(text)
    )


def _boxes(rows: Iterable[Mapping[str, Any]]) -> tuple[Box, ...]:
    return tuple(Box(**{**row, "boxes": _boxes(row.get("boxes", ()))}) for row in rows)


def walk(boxes: Iterable[Box]) -> Iterator[Box]:
    """Every box and those below it, in their order."""
    for box in boxes:
        yield box
        yield from walk(box.boxes)


def every_box(parts: Iterable[Part]) -> Iterator[Box]:
    """Those of the whole list, in its order."""
    for part in parts:
        for section in part.sections:
            yield from walk(section.boxes)


def fill(box: Box, check: Callable[[str], Result]) -> Filled:
    """The box with what `check` (by a check's name) found; a blank that nobody measured says so."""
    if box.boxes:
        below = tuple(fill(one, check) for one in box.boxes)
        return Filled(box.text, worst(one.state for one in below), "", below)
    if box.check is None:
        return Filled(box.text, State.PERSON, box.person or "")
    result = check(box.check)
    text = BLANK.sub(lambda blank: result.figures.get(blank[1], UNKNOWN), box.text)
    return Filled(text, result.state, result.evidence)


def worst(states: Iterable[State]) -> State:
    """The state of boxes together: the worst of them."""
    order = list(State)
    return min(states, key=order.index, default=State.TICKED)
