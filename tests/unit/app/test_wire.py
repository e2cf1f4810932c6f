"""Commands are checked field by field; `docs/protocol.md` names every frame there is."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Entry, Kind
from app.errors import InvalidRequest
from app.protocol import wire

PROTOCOL = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text()


def test_a_send() -> None:
    command = wire.decode('{"type":"send","id":"a1","conv":7,"body":"hi"}')
    assert command == wire.Send("a1", ConversationId(7), "hi")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"type":"send","id":"a","conv":"7","body":""}', "$.conv"),
        ('{"type":"send","id":"","conv":7,"body":""}', "$.id"),
        ('{"type":"send","id":"a","conv":0,"body":""}', "$.conv"),
        ('{"type":"send","id":"a","conv":9007199254740992,"body":""}', "$.conv"),
        ('{"type":"send","id":"a","conv":7}', "body"),
        ('{"type":"send","id":"a","conv":7,"body":"x\\u0000"}', "$.body"),
        ('{"type":"send","id":"a","conv":7,"body":"","extra":1}', "extra"),
        ('{"type":"delivered","cursors":{"x":1}}', "cursors"),
        ('{"type":"delivered","cursors":{"1":-1}}', "cursors"),
        ('{"type":"nonsense"}', "$.type"),
        ("[]", "object"),
        ("{", "truncated"),
    ],
)
def test_a_refusal_names_the_field(text: str, place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire.decode(text)
    assert place in caught.value.message


def test_too_many_cursors_are_refused() -> None:
    cursors = {str(n): 1 for n in range(1, wire.MAX_CURSORS + 2)}
    with pytest.raises(InvalidRequest):
        wire.decode(json.dumps({"type": "sync", "cursors": cursors}))


@given(st.text())
def test_any_text_is_a_command_or_an_invalid_request(text: str) -> None:
    try:
        command = wire.decode(text)
    except InvalidRequest:
        return
    assert isinstance(command, wire.Command)


def test_a_row_of_the_log_as_an_event() -> None:
    entry = Entry(ConversationId(1), 2, Kind.MESSAGE, UserId(3), 4.5, DeviceId(6), "id", "body")
    assert json.loads(msgspec.json.encode(wire.entry_event(entry))) == {
        "type": "message", "conv": 1, "seq": 2, "id": "id", "sender": 3, "device": 6, "ts": 4.5, "body": "body",
    }  # fmt: skip
    left = Entry(ConversationId(1), 3, Kind.LEFT, UserId(3), 4.5)
    assert wire.entry_event(left) == wire.Member(ConversationId(1), 3, UserId(3), "left", 4.5)


def test_a_frame_that_is_nested_deeply_is_refused_and_not_a_fault() -> None:
    with pytest.raises(InvalidRequest):
        wire.decode('{"type":"typing","conv":' + "[" * 30_000 + "]" * 30_000 + "}")


FRAMES = [
    *(kind for kind in wire.Command.__subclasses__() if kind is not wire.CallCommand),
    *wire.CallCommand.__subclasses__(),
    *(kind for kind in wire.ServerEvent.__subclasses__() if kind is not wire.CallEvent),
    *wire.CallEvent.__subclasses__(),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.__name__)
def test_the_protocol_document_has_every_frame_and_field(frame: type[msgspec.Struct]) -> None:
    tag = frame.__struct_config__.tag
    rows = [line for line in PROTOCOL.splitlines() if line.startswith("| `") and f"`{tag}`" in line.split(" | ")[0]]
    assert rows, f"docs/protocol.md has no row for {tag}"
    fields = [field.name for field in msgspec.structs.fields(frame)]
    assert any(all(f"`{name}`" in row for name in fields) for row in rows), f"{tag}: fields {fields}"
