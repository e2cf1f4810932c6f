"""WebSocket frames (RFC 6455), server side, without compression.

`Decoder` turns the bytes a client sent into events; `encode` builds the frame that a
server sends (never masked, section 5.1). A decoder that holds nothing half-received is
`idle` and can be dropped: an idle connection costs no parser.

A fault is found at the first byte that shows it, also in a frame that is still arriving.
Each payload byte is unmasked, checked and stored once, however small the pieces it comes in.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

MAX_MESSAGE_BYTES = 64 * 1024
"""Longest message a client may send, all fragments together, unless a decoder is given another limit."""
_MAX_CONTROL_BYTES = 125
_MAX_HEAD_BYTES = 14


class Opcode(IntEnum):
    """Section 5.2; everything else is reserved."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_OPCODES = {opcode.value: opcode for opcode in Opcode}
_FIRST_OF_WHOLE = {0x80 | opcode: opcode for opcode in Opcode if opcode is not Opcode.CONTINUATION}


class Event(NamedTuple):
    """A whole message or control frame. `text` is set for TEXT, `code` for CLOSE (1005: none was given)."""

    opcode: Opcode
    data: bytes = b""
    text: str = ""
    code: int = 0


class FrameError(Exception):
    """The client broke the protocol; the connection ends with this close code (section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def encode(opcode: Opcode, payload: bytes) -> bytes:
    """One unfragmented server frame."""
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what a control frame may hold."""
    payload = struct.pack("!H", code) + reason.encode()[: _MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return encode(Opcode.CLOSE, payload)


def may_be_sent(code: int) -> bool:
    """Whether a close frame may carry this code (sections 7.4.1 and 7.4.2)."""
    return code in _DEFINED_CLOSE_CODES or 3000 <= code <= 4999


# 1004, 1005, 1006 and 1015 never travel; 1012-1014 were registered with IANA later.
_DEFINED_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


def decode_whole(data: bytes, max_message_bytes: int = MAX_MESSAGE_BYTES) -> Event | None:
    """The event when `data` is exactly one whole frame of the short or middle form, else None: a Decoder must look.

    Nearly everything clients send is of this kind, and needs no state. Raises FrameError as the Decoder would.
    """
    opcode = _FIRST_OF_WHOLE.get(data[0])
    size, begin = len(data) - 6, 6
    if opcode is None or size < 0:
        return None
    if size > _MAX_CONTROL_BYTES:
        size, begin = size - 2, 8
        if opcode >= Opcode.CLOSE or size < 126 or data[1] != 0xFE or (data[2] << 8 | data[3]) != size:
            return None
    elif data[1] != 0x80 | size:
        return None
    if size > max_message_bytes:
        return None
    payload = _unmask(data[begin:], data[begin - 4 : begin])
    if opcode < Opcode.CLOSE:
        return _message_event(opcode, payload)
    return _close_event(payload) if opcode is Opcode.CLOSE else Event(opcode, payload)


class Decoder:
    """Bytes in, events out; keeps what is half-received between calls.

    No more than `max_message_bytes` of a message are ever kept. After a FrameError it is of no more use.
    """

    __slots__ = (
        "_fin",
        "_head",
        "_left",
        "_mask",
        "_max",
        "_message",
        "_message_opcode",
        "_opcode",
        "_payload",
        "_tail",
    )

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max = max_message_bytes
        self._head = b""  # of a frame whose head is not complete
        self._opcode: Opcode | None = None  # of the frame whose payload is under way
        self._fin = False
        self._left = 0  # bytes of that payload still to come
        self._mask = b""  # turned so that it begins at the next byte
        self._payload = b""  # of a control frame under way
        self._message_opcode: Opcode | None = None  # of the message under way
        self._message: bytearray | None = None
        self._tail = b""  # an incomplete character at the end of a text under way

    @property
    def idle(self) -> bool:
        """Nothing is half-received."""
        return self._opcode is None and self._message_opcode is None and not self._head

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes; raises FrameError where the protocol is broken.

        Events before the fault are yielded first, so what was rightly sent is not lost.
        """
        at, have = 0, len(data)
        while at < have:
            if self._opcode is None:
                at = self._begin(data, at)
                if self._opcode is None:
                    return
            end = min(at + self._left, have)
            event = self._continue(self._opcode, _unmask(data[at:end], self._mask))
            at = end
            if event is not None:
                yield event

    def _begin(self, data: bytes, at: int) -> int:
        """Read a frame's head; returns where its payload begins. `_opcode` stays None while the head is incomplete."""
        kept = len(self._head)
        head = self._head + data[at : at + _MAX_HEAD_BYTES - kept]
        room = self._max - len(self._message or b"")
        frame = _parse_head(head, room, within_message=self._message_opcode is not None)
        if frame is None:
            self._head = head
            return len(data)
        self._head = b""
        self._opcode, self._fin, self._left, length = frame
        self._mask = head[length - 4 : length]
        if self._opcode is Opcode.TEXT or self._opcode is Opcode.BINARY:
            self._message_opcode = self._opcode
        return at + length - kept

    def _continue(self, opcode: Opcode, piece: bytes) -> Event | None:
        """Take the next piece of the frame under way; the event, when that completes one."""
        self._left -= len(piece)
        if self._left:
            turn = len(piece) % 4
            self._mask = self._mask[turn:] + self._mask[:turn]
        else:
            self._opcode = None
        if opcode < Opcode.CLOSE:
            return self._data(piece, last=self._fin and not self._left)
        payload = self._payload + piece
        self._payload = payload if self._left else b""
        if self._left:
            return None
        return _close_event(payload) if opcode is Opcode.CLOSE else Event(opcode, payload)

    def _data(self, piece: bytes, last: bool) -> Event | None:
        opcode = self._message_opcode
        if self._message is not None:
            self._message += piece
        elif last:
            self._message_opcode = None
            return _message_event(opcode, piece)
        else:
            self._message = bytearray(piece)
        if opcode is Opcode.TEXT:
            self._tail = _check_text(self._tail + piece)
        if not last:
            return None
        message, self._message, self._message_opcode = bytes(self._message), None, None
        return _message_event(opcode, message)


def _parse_head(head: bytes, room: int, *, within_message: bool) -> tuple[Opcode, bool, int, int] | None:
    """(opcode, fin, size of the payload, length of the head), or None when more bytes are needed.

    `room` is what the message under way may still grow. What can be refused is refused as soon as it is here.
    """
    first = head[0]
    opcode = _check_first(first, within_message)
    if len(head) < 2:
        return None
    size, length = head[1] & 0x7F, 6
    _check_second(head[1], opcode)
    if size > 125:
        length = 8 if size == 126 else 14
        if len(head) < length - 4:
            return None
        size = _long_size(head[2 : length - 4])
    if opcode < Opcode.CLOSE and size > room:
        raise FrameError(1009, "the message is too long")
    return (opcode, first > 0x7F, size, length) if len(head) >= length else None


def _check_first(first: int, within_message: bool) -> Opcode:
    if first & 0x70:
        raise FrameError(1002, "reserved bits are set")
    opcode = _OPCODES.get(first & 0x0F)
    if opcode is None:
        raise FrameError(1002, "reserved opcode")
    if opcode >= Opcode.CLOSE:
        if first < 0x80:
            raise FrameError(1002, "control frames are not fragmented")
    elif (opcode is Opcode.CONTINUATION) is not within_message:
        what = "a new message inside a fragmented one" if within_message else "continuation without a message"
        raise FrameError(1002, what)
    return opcode


def _check_second(second: int, opcode: Opcode) -> None:
    if second < 0x80:
        raise FrameError(1002, "frames from a client must be masked")
    if opcode >= Opcode.CLOSE and second & 0x7F > _MAX_CONTROL_BYTES:
        raise FrameError(1002, "control frames are short")


def _long_size(field: bytes) -> int:
    size = int.from_bytes(field, "big")
    if size >> 63:
        raise FrameError(1002, "the highest bit of a length must be 0")
    if size < (126 if len(field) == 2 else 65536):
        raise FrameError(1002, "length is not in its shortest form")
    return size


def _unmask(payload: bytes, mask: bytes) -> bytes:
    # One XOR of two long integers: the fastest way in plain Python, far ahead of a loop over bytes.
    size = len(payload)
    if not size:
        return b""
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")


def _check_text(text: bytes) -> bytes:
    """The incomplete character at the end of `text`; FrameError when no continuation could make it UTF-8."""
    try:
        _, used = codecs.utf_8_decode(text, "strict", False)
    except UnicodeDecodeError:
        raise _not_utf8() from None
    tail = text[used:]
    # CPython waits for the third byte of a surrogate (ED A0..BF xx); the second one tells already.
    if tail[:1] == b"\xed" and tail[1:] > b"\x9f":
        raise _not_utf8()
    return tail


def _message_event(opcode: Opcode | None, payload: bytes) -> Event:
    if opcode is Opcode.BINARY:
        return Event(Opcode.BINARY, payload)
    try:
        return Event(Opcode.TEXT, text=payload.decode())
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> FrameError:
    return FrameError(1007, "text is not UTF-8")


def _close_event(payload: bytes) -> Event:
    if not payload:
        return Event(Opcode.CLOSE, code=1005)
    if len(payload) == 1:
        raise FrameError(1002, "a close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise FrameError(1002, f"close code {code} may not be sent")
    try:
        return Event(Opcode.CLOSE, text=payload[2:].decode(), code=code)
    except UnicodeDecodeError:
        raise FrameError(1007, "close reason is not UTF-8") from None
