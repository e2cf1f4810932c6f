"""RFC 6455 framing: whatever the chunks, the same events; whatever the garbage, a refusal at the first bad byte."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.protocol.frames import (
    MAX_MESSAGE_BYTES,
    Decoder,
    Event,
    FrameError,
    Opcode,
    decode_whole,
    encode,
    encode_close,
    may_be_sent,
)
from tests.support.rawws import close, frame, head

LEGAL_CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4401, 4999]
ILLEGAL_CODES = [0, 1, 999, 1004, 1005, 1006, *range(1015, 1101), 1999, 2000, 2999, 5000, 65_535]


def outcome(chunks: list[bytes], limit: int = MAX_MESSAGE_BYTES) -> tuple[list[Event], int, bool]:
    """(events, close code of the refusal or 0, whether the decoder ended idle)."""
    decoder, events = Decoder(limit), []
    try:
        for chunk in chunks:
            for event in decoder.feed(chunk):
                events.append(event)  # noqa: PERF402  what came before a refusal counts
    except FrameError as error:
        assert may_be_sent(error.code)
        return events, error.code, False
    return events, 0, decoder.idle


def events_of(data: bytes) -> list[Event]:
    events, refused, idle = outcome([data])
    assert not refused
    assert idle
    return events


def refusal_of(data: bytes, limit: int = MAX_MESSAGE_BYTES) -> int:
    return outcome([data], limit)[1]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(stream) + 1) for place in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(places)]


# --- what is understood -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
def test_every_length_form_is_read(size: int) -> None:
    payload = os.urandom(size)
    assert events_of(frame(Opcode.BINARY, payload)) == [Event(Opcode.BINARY, payload)]


def test_a_fragmented_message_with_a_ping_between_its_parts() -> None:
    text = "grüß".encode()
    stream = (
        frame(Opcode.TEXT, text[:3], fin=False)  # in the middle of the ü
        + frame(Opcode.PING, b"hi")
        + frame(Opcode.CONTINUATION, text[3:])
    )
    assert events_of(stream) == [Event(Opcode.PING, b"hi"), Event(Opcode.TEXT, text="grüß")]


@pytest.mark.parametrize("code", LEGAL_CODES)
def test_close_codes_that_may_travel(code: int) -> None:
    assert may_be_sent(code)
    assert events_of(close(code, b"bye")) == [Event(Opcode.CLOSE, text="bye", code=code)]


def test_a_close_frame_without_a_code() -> None:
    assert events_of(frame(Opcode.CLOSE, b"")) == [Event(Opcode.CLOSE, code=1005)]


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), 1002),
        (frame(Opcode.CONTINUATION, b"x"), 1002),
        (frame(Opcode.CONTINUATION, b"x", fin=False), 1002),
        (frame(Opcode.BINARY, b"a") + frame(Opcode.CONTINUATION, b"x"), 1002),
        (frame(Opcode.TEXT, b"\xff"), 1007),
        (frame(Opcode.TEXT, b"\xc3"), 1007),  # ends inside a character
        (frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONTINUATION, b""), 1007),
        (frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONTINUATION, b"("), 1007),
        (frame(Opcode.CLOSE, b"\x03"), 1002),
        (close(1000, b"\xff"), 1007),
        (close(1000, b"\xc3"), 1007),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_its_code(stream: bytes, code: int) -> None:
    assert refusal_of(stream) == code


@pytest.mark.parametrize("code", ILLEGAL_CODES)
def test_close_codes_that_may_not_travel(code: int) -> None:
    assert not may_be_sent(code)
    assert refusal_of(close(code)) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF])
def test_reserved_opcodes_are_refused_at_their_first_byte(opcode: int) -> None:
    assert refusal_of(bytes([0x80 | opcode])) == 1002


@pytest.mark.parametrize("bits", [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG])
def test_reserved_bits_are_refused_at_their_first_byte(bits: int, opcode: Opcode) -> None:
    assert refusal_of(bytes([0x80 | bits | opcode])) == 1002


@pytest.mark.parametrize("opcode", [Opcode.CLOSE, Opcode.PING, Opcode.PONG])
def test_control_frames_are_whole_and_short(opcode: Opcode) -> None:
    assert refusal_of(frame(opcode, b"", fin=False)[:1]) == 1002
    assert refusal_of(head(opcode, 126)[:2]) == 1002
    assert refusal_of(head(opcode, 65_536)[:2]) == 1002
    assert not refusal_of(frame(opcode, (1000).to_bytes(2, "big") + b"x" * 123))


@pytest.mark.parametrize(
    "start",
    [
        b"\x81\xfe" + (125).to_bytes(2, "big"),
        b"\x82\xfe" + (0).to_bytes(2, "big"),
        b"\x81\xff" + (65_535).to_bytes(8, "big"),
        b"\x82\xff" + (5).to_bytes(8, "big"),
        b"\x82\xff" + (1 << 63).to_bytes(8, "big"),
        b"\x82\xff" + (0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big"),
    ],
)
def test_a_length_must_be_in_its_only_legal_form(start: bytes) -> None:
    assert refusal_of(start) == 1002
    assert refusal_of(start + bytes(200)) == 1002


@pytest.mark.parametrize("limit", [10, 125, 126, 65_536, 100_000])
def test_too_long_a_message_is_refused_when_its_length_is_known(limit: int) -> None:
    assert refusal_of(head(Opcode.BINARY, limit + 1)[:-4], limit) == 1009
    first = frame(Opcode.TEXT, b"x" * (limit - 1), fin=False)
    assert refusal_of(first + head(Opcode.CONTINUATION, 2)[:-4], limit) == 1009
    assert not refusal_of(first + frame(Opcode.PING, b"x" * 125) + frame(Opcode.CONTINUATION, b"x"), limit)


def test_the_limit_is_of_each_message() -> None:
    once = frame(Opcode.BINARY, b"12345", fin=False) + frame(Opcode.CONTINUATION, b"67890")
    assert outcome([once * 3], 10) == ([Event(Opcode.BINARY, b"1234567890")] * 3, 0, True)


def test_events_before_a_fault_are_not_lost() -> None:
    assert outcome([frame(Opcode.TEXT, b"kept") + b"\x81\x00"])[:2] == ([Event(Opcode.TEXT, text="kept")], 1002)


# --- UTF-8 --------------------------------------------------------------------------------------------


def could_become_utf8(data: bytes) -> bool:
    """Whether some continuation of `data` is UTF-8, by trial."""
    tails = [b""] + [bytes([first]) + b"\x80" * more for first in (0x80, 0x90, 0xA0) for more in range(3)]
    for tail in tails:
        try:
            (data + tail).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


utf8_like = st.lists(
    st.one_of(
        st.characters(codec="utf-8").map(str.encode),
        st.sampled_from([b"\xc0", b"\xc2", b"\xe0", b"\xed", b"\xef", b"\xf0", b"\xf4", b"\xf5", b"\xff"]),
        st.sampled_from([b"\x80", b"\x8f", b"\x90", b"\x9f", b"\xa0", b"\xbf"]),
    ),
    max_size=8,
).map(b"".join)


@given(utf8_like, st.booleans())
@example(b"\xed\xa0\x80", False)  # a surrogate, which CPython's own decoder notices a byte later
@example(b"\xed\xbf", True)
@example(b"\xf4\x90\x80\x80", False)  # beyond U+10FFFF
@example(b"\xe0\x80\x80", False)  # overlong
@example("κόσμε".encode() + b"\xed\xa0\x80edited", False)
def test_text_fails_at_its_first_bad_byte(payload: bytes, fragmented: bool) -> None:
    """In a frame that has only partly arrived, and across fragments of one byte each."""
    bad_at = next((n for n in range(len(payload)) if not could_become_utf8(payload[: n + 1])), None)
    if fragmented:
        opcodes = [Opcode.TEXT] + [Opcode.CONTINUATION] * len(payload)
        pieces = [frame(opcode, bytes([byte]), fin=False) for opcode, byte in zip(opcodes, payload, strict=False)]
    else:
        stream = frame(Opcode.TEXT, payload + b"more to come")
        begin = len(stream) - len(payload) - 12
        pieces = [stream[: begin + 1], *(stream[n : n + 1] for n in range(begin + 1, begin + len(payload)))]
    for n in range(len(payload)):
        assert outcome(pieces[: n + 1])[1] == (1007 if n == bad_at else 0)
        if n == bad_at:
            break


# --- any stream, any chunks ---------------------------------------------------------------------------

masks = st.binary(min_size=4, max_size=4)
controls = st.one_of(
    st.binary(max_size=125).map(lambda data: (Event(Opcode.PING, data), data)),
    st.binary(max_size=125).map(lambda data: (Event(Opcode.PONG, data), data)),
)


@st.composite
def one_message(draw: st.DrawFn) -> tuple[list[Event], list[bytes]]:
    """(events, frames): a message in any fragments, with any pings and pongs between them."""
    if draw(st.booleans()):
        text = draw(st.text(st.characters(codec="utf-8"), max_size=200))
        event, payload = Event(Opcode.TEXT, text=text), text.encode()
    else:
        payload = draw(st.binary(max_size=400))
        event = Event(Opcode.BINARY, payload)
    parts = cut(payload, draw(st.lists(st.integers(0, 500), max_size=4))) or [b""]
    parts += [b""] * draw(st.integers(0, 1))
    events, frames = [], []
    for n, part in enumerate(parts):
        for control, data in draw(st.lists(controls, max_size=2)):
            events.append(control)
            frames.append(frame(control.opcode, data, mask=draw(masks)))
        opcode = Opcode.CONTINUATION if n else event.opcode
        frames.append(frame(opcode, part, fin=n == len(parts) - 1, mask=draw(masks)))
    return [*events, event], frames


@st.composite
def legal_streams(draw: st.DrawFn) -> tuple[list[Event], bytes]:
    messages = draw(st.lists(one_message(), max_size=4))
    events = [event for some, _ in messages for event in some]
    frames = [one for _, some in messages for one in some]
    if draw(st.booleans()):
        events.append(Event(Opcode.CLOSE, text="bye", code=1000))
        frames.append(close(1000, b"bye"))
    return events, b"".join(frames)


places = st.lists(st.integers(0, 5000), max_size=30)


@given(legal_streams(), places)
def test_any_chunking_of_a_legal_stream_gives_its_events(stream: tuple[list[Event], bytes], cuts: list[int]) -> None:
    events, data = stream
    assert outcome(cut(data, cuts)) == (events, 0, True)
    assert outcome([data[n : n + 1] for n in range(len(data))]) == (events, 0, True)


@given(
    legal_streams(),
    st.lists(
        st.tuples(st.sampled_from(["flip", "drop", "add"]), st.integers(0, 5000), st.integers(0, 255)), max_size=4
    ),
    places,
)
def test_a_damaged_stream_is_refused_or_waited_for(
    stream: tuple[list[Event], bytes], damage: list[tuple[str, int, int]], cuts: list[int]
) -> None:
    data = bytearray(stream[1])
    for kind, place, value in damage:
        if data and kind == "flip":
            data[place % len(data)] ^= value
        elif data and kind == "drop":
            del data[place % len(data)]
        else:
            data.insert(place % (len(data) + 1), value)
    assert outcome(cut(bytes(data), cuts)) == outcome([bytes(data)])


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_is_refused_or_waited_for(chunks: list[bytes]) -> None:
    assert outcome(chunks) == outcome([b"".join(chunks)])


near_frames = st.builds(
    lambda opcode, payload, bit, place, more: _flipped(frame(opcode, payload), bit, place) + more,
    st.sampled_from([*Opcode, 3]),
    st.one_of(st.binary(max_size=130), st.text(max_size=300).map(str.encode)),
    st.sampled_from([0, 0, 0, 1, 0x80, 0xFF]),
    st.integers(0, 9),
    st.sampled_from([b"", b"", b"x"]),
)


def _flipped(data: bytes, bits: int, place: int) -> bytes:
    return data if place >= len(data) else data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


@given(near_frames, st.sampled_from([10, 200, MAX_MESSAGE_BYTES]))
def test_the_short_cut_for_whole_frames_says_what_the_decoder_says(data: bytes, limit: int) -> None:
    try:
        event = decode_whole(data, limit)
    except FrameError as error:
        assert outcome([data], limit) == ([], error.code, False)
    else:
        assert event is None or outcome([data], limit) == ([event], 0, True)


@pytest.mark.parametrize("payload", [b"", b"x" * 125, b"x" * 126, b"x" * 65_535])
def test_the_short_cut_takes_every_frame_that_comes_alone(payload: bytes) -> None:
    assert decode_whole(frame(Opcode.TEXT, payload)) == Event(Opcode.TEXT, text=payload.decode())


@pytest.mark.parametrize("size", [0, 5, 124, 125])
def test_the_short_cut_leaves_a_length_in_the_wrong_form_to_the_decoder(size: int) -> None:
    data = b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4 + size)
    assert decode_whole(data) is None
    assert refusal_of(data) == 1002


# --- what the server sends ----------------------------------------------------------------------------


def test_a_long_close_reason_is_cut_at_a_character() -> None:
    sent = encode_close(1000, "ü" * 200)
    assert sent[1] <= 125
    sent[4:].decode()


def test_a_server_frame_is_not_masked() -> None:
    assert encode(Opcode.TEXT, b"hi") == b"\x81\x02hi"
    assert encode(Opcode.TEXT, b"x" * 126)[:4] == b"\x81\x7e\x00\x7e"
    assert encode(Opcode.TEXT, b"x" * 65_536)[:10] == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
