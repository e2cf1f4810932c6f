"""What came out, as JSON to keep and sign, as Markdown to read in a repository, and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from monitoring.verify import signing
from monitoring.verify.checklist import Filled, State

MARKS = {State.TICKED: "[x]", State.FAILED: "[ ] ✗", State.NOT_RUN: "[ ]", State.PERSON: "[ ] ☐"}


@dataclass(frozen=True, slots=True)
class FilledPart:
    """A part of the list with what became of it: (title of the section, its boxes)."""

    title: str
    sections: Sequence[tuple[str, Sequence[Filled]]]


def as_json(parts: Iterable[FilledPart], at: str, machine: str, target: str) -> dict[str, Any]:
    """The run; `at` is an RFC 3339 time, `target` what was looked at."""
    listed = [
        {
            "title": part.title,
            "sections": [{"title": title, "boxes": [_box(box) for box in boxes]} for title, boxes in part.sections],
        }
        for part in parts
    ]
    run: dict[str, Any] = {"at": at, "machine": machine, "target": target, "parts": listed}
    counts = Counter(box["state"] for box in leaves(run))
    return run | {"counts": {state.value: counts[state.value] for state in State}, "signatures": []}


def _box(filled: Filled) -> dict[str, Any]:
    told: dict[str, Any] = {"text": filled.text, "state": filled.state.value}
    if filled.boxes:
        return told | {"boxes": [_box(box) for box in filled.boxes]}
    return told | {"evidence": filled.evidence}


def leaves(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every box that has none of its own."""

    def below(boxes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for box in boxes:
            if "boxes" in box:
                yield from below(box["boxes"])
            else:
                yield box

    for part in run["parts"]:
        for section in part["sections"]:
            yield from below(section["boxes"])


def good(run: Mapping[str, Any]) -> bool:
    """Whether everything that a program can tick is ticked."""
    return all(box["state"] in (State.TICKED, State.PERSON) for box in leaves(run))


def markdown(run: Mapping[str, Any]) -> str:
    """The list as the project keeps it."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Mapping[str, Any]) -> Iterator[str]:
    yield "# Deployment checklist, filled"
    yield ""
    yield f"{run['at']}, {run['target']}, on {run['machine']}: " + ", ".join(
        f"{count} {state}" for state, count in run["counts"].items()
    )
    for part in run["parts"]:
        yield f"\n## {part['title']}"
        for section in part["sections"]:
            yield f"\n### {section['title']}\n"
            for box in section["boxes"]:
                yield from _marked(box, "")
    yield "\n## Sign-off\n"
    signed = {one.role: one for one in signing.valid(run)}
    for role, words in signing.ROLES.items():
        yield f"- [x] {words}: {signed[role].name}, {signed[role].at}" if role in signed else f"- [ ] {words}"


def _marked(box: Mapping[str, Any], indent: str) -> Iterator[str]:
    evidence = f" – {box['evidence']}" if box.get("evidence") else ""
    state = "" if box["state"] == State.TICKED else f" ({box['state']})"
    yield f"{indent}- {MARKS[State(box['state'])]} {box['text']}{state}{evidence}"
    for below in box.get("boxes", ()):
        yield from _marked(below, f"{indent}  ")


def page(run: Mapping[str, Any]) -> str:
    """One page: no script, nothing fetched, everything escaped."""
    environment = Environment(
        loader=PackageLoader("monitoring.verify"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    signed = {one.role: one for one in signing.valid(run)}
    return environment.get_template("checklist.html").render(run=run, roles=signing.ROLES, signed=signed)
