"""The checklist as data: nothing is left out, a box is the worst of what is below it, signatures are under one run."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from monitoring.verify import checklist, signing
from monitoring.verify.checklist import Box, Result, State, fill

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RUN: dict[str, Any] = {"machine": "here", "parts": []}


def test_every_box_has_one_way_to_its_state() -> None:
    boxes = list(checklist.every_box(checklist.read()))
    assert len(boxes) > 120
    wrong = [box.text for box in boxes if sum(map(bool, (box.check, box.person, box.boxes))) != 1]
    assert wrong == []


def test_a_box_is_as_bad_as_the_worst_below_it_and_blanks_are_filled() -> None:
    found = {
        "good": Result(State.TICKED, "seen", {"p95_ms": "42"}),
        "bad": Result(State.FAILED, "it was 300 ms"),
    }
    box = Box(
        "both", boxes=(Box("p95 {p95_ms} ms, max {max_ms} ms", "good"), Box("worse", "bad"), Box("own", person="eyes"))
    )
    filled = fill(box, found.__getitem__)
    assert filled.state is State.FAILED
    assert [(one.text, one.state, one.evidence) for one in filled.boxes] == [
        ("p95 42 ms, max not measured ms", State.TICKED, "seen"),
        ("worse", State.FAILED, "it was 300 ms"),
        ("own", State.PERSON, "eyes"),
    ]
    assert checklist.worst([State.TICKED, State.PERSON, State.NOT_RUN]) is State.NOT_RUN


def test_a_signature_is_under_the_run_that_was_signed_and_no_other() -> None:
    signed = signing.sign(signing.sign(RUN, "qa", " Ann ", NOW), "devops", "Bob", NOW)
    assert [(one.role, one.name) for one in signing.valid(signed)] == [("qa", "Ann"), ("devops", "Bob")]
    again = signing.sign(signed, "qa", "Eve", NOW)
    assert [one.name for one in signing.valid(again)] == ["Eve", "Bob"]
    changed = copy.deepcopy(again) | {"machine": "elsewhere"}
    assert signing.valid(changed) == []


@pytest.mark.parametrize(
    ("role", "name", "message"),
    [("cook", "Ann", "role 'cook': expected one of qa, "), ("qa", " ", "name: 1 to 100"), ("qa", "a\nb", "printable")],
)
def test_a_signature_that_cannot_be_taken_says_why(role: str, name: str, message: str) -> None:
    with pytest.raises(signing.SigningError, match=message):
        signing.sign(RUN, role, name, NOW)
