"""RFC 6455 framing: whatever the chunks, the same events; whatever the garbage, a clean refusal."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.frames import (
    MAX_MESSAGE_BYTES,
    Decoder,
    Event,
    FrameError,
    Opcode,
    encode,
    encode_close,
    may_be_sent,
)


def client_frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A masked frame as a client builds it, written apart from the code under test."""
    head = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


def events_of(data: bytes) -> list[Event]:
    return list(Decoder().feed(data))


def refusal_of(data: bytes) -> int:
    with pytest.raises(FrameError) as caught:
        events_of(data)
    return caught.value.code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, MAX_MESSAGE_BYTES])
def test_every_length_form_is_read(size: int) -> None:
    payload = os.urandom(size)
    assert events_of(client_frame(Opcode.BINARY, payload)) == [Event(Opcode.BINARY, payload)]


def test_a_fragmented_message_with_a_ping_between_its_parts() -> None:
    text = "grüß".encode()
    stream = (
        client_frame(Opcode.TEXT, text[:3], fin=False)  # in the middle of the ü
        + client_frame(Opcode.PING, b"hi")
        + client_frame(Opcode.CONTINUATION, text[3:])
    )
    assert events_of(stream) == [Event(Opcode.PING, b"hi"), Event(Opcode.TEXT, text="grüß")]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (client_frame(0x3, b""), 1002),
        (client_frame(0xB, b""), 1002),
        (bytes([0xC1]) + client_frame(1, b"x")[1:], 1002),  # RSV1 without an extension
        (client_frame(Opcode.PING, b"", fin=False), 1002),
        (client_frame(Opcode.PING, b"x" * 126), 1002),
        (client_frame(Opcode.CONTINUATION, b"x"), 1002),
        (client_frame(Opcode.TEXT, b"a", fin=False) + client_frame(Opcode.TEXT, b"b"), 1002),
        (b"\x81\xfe\x00\x05\x00\x00\x00\x00hello", 1002),  # 5 written in the long form
        (client_frame(Opcode.TEXT, b"\xff"), 1007),
        (client_frame(Opcode.TEXT, b"\xc3", fin=False) + client_frame(Opcode.CONTINUATION, b"("), 1007),
        (client_frame(Opcode.CLOSE, b"\x03"), 1002),
        (client_frame(Opcode.CLOSE, (1005).to_bytes(2, "big")), 1002),
        (client_frame(Opcode.CLOSE, (2999).to_bytes(2, "big")), 1002),
        (client_frame(Opcode.CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (client_frame(Opcode.BINARY, b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
        (
            client_frame(Opcode.BINARY, b"x" * 60_000, fin=False) + client_frame(Opcode.CONTINUATION, b"x" * 60_000),
            1009,
        ),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_its_code(frame: bytes, code: int) -> None:
    assert refusal_of(frame) == code


def test_an_announced_giant_is_refused_before_it_arrives() -> None:
    assert refusal_of(b"\x82\xff" + (1 << 40).to_bytes(8, "big")) == 1009


def test_events_before_a_fault_are_not_lost() -> None:
    feed = Decoder().feed(client_frame(Opcode.TEXT, b"kept") + b"\x81\x00")
    assert next(feed) == Event(Opcode.TEXT, text="kept")
    with pytest.raises(FrameError):
        next(feed)


@pytest.mark.parametrize("code", [1000, 1001, 1007, 1011, 1012, 3000, 4401, 4999])
def test_close_codes_that_may_travel(code: int) -> None:
    assert may_be_sent(code)
    assert events_of(client_frame(Opcode.CLOSE, encode_close(code, "bye")[2:])) == [
        Event(Opcode.CLOSE, text="bye", code=code)
    ]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000])
def test_close_codes_that_may_not(code: int) -> None:
    assert not may_be_sent(code)


def test_a_long_close_reason_is_cut_at_a_character() -> None:
    frame = encode_close(1000, "ü" * 200)
    assert frame[1] <= 125
    frame[4:].decode()


def test_a_server_frame_is_not_masked() -> None:
    assert encode(Opcode.TEXT, b"hi") == b"\x81\x02hi"
    assert encode(Opcode.TEXT, b"x" * 126)[:4] == b"\x81\x7e\x00\x7e"
    assert encode(Opcode.TEXT, b"x" * 65_536)[:10] == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"


messages = st.one_of(
    st.text(max_size=300).map(lambda text: (Opcode.TEXT, text.encode())),
    st.binary(max_size=300).map(lambda data: (Opcode.BINARY, data)),
    st.binary(max_size=125).map(lambda data: (Opcode.PING, data)),
)


@given(st.lists(messages, max_size=5), st.lists(st.integers(1, 40), min_size=1), st.binary(min_size=4, max_size=4))
def test_any_chunking_gives_the_same_events(sent: list[tuple[Opcode, bytes]], sizes: list[int], mask: bytes) -> None:
    stream = b"".join(client_frame(opcode, payload, mask=mask) for opcode, payload in sent)
    decoder, got, at, turn = Decoder(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        got += list(decoder.feed(stream[at : at + size]))
        at, turn = at + size, turn + 1
    assert got == events_of(stream)
    assert [event.opcode for event in got] == [opcode for opcode, _ in sent]
    assert decoder.idle


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_ends_in_a_frame_error_or_nothing(chunks: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for chunk in chunks:
            for event in decoder.feed(chunk):
                assert isinstance(event, Event)
    except FrameError as error:
        assert may_be_sent(error.code)
