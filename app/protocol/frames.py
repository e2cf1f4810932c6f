"""WebSocket frames (RFC 6455), server side, without compression.

`Decoder` turns the bytes a client sent into events; `encode` builds the frame that a
server sends (never masked, section 5.1). A decoder that holds nothing half-received is
`idle` and can be dropped: an idle connection costs no parser.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

MAX_MESSAGE_BYTES = 64 * 1024
"""Longest message a client may send, all fragments together."""
_MAX_CONTROL_BYTES = 125


class Opcode(IntEnum):
    """Section 5.2; everything else is reserved."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


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


class Decoder:
    """Bytes in, events out; keeps what is half-received between calls."""

    __slots__ = ("_buffer", "_opcode", "_parts", "_size", "_utf8")

    def __init__(self) -> None:
        self._buffer = b""
        self._opcode: Opcode | None = None  # of the fragmented message under way
        self._parts: list[bytes | str] = []
        self._size = 0
        self._utf8: codecs.IncrementalDecoder | None = None

    @property
    def idle(self) -> bool:
        """Nothing is half-received."""
        return not self._buffer and self._opcode is None

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes; raises FrameError where the protocol is broken.

        Events before the fault are yielded first, so what was rightly sent is not lost.
        """
        buffer = self._buffer + data if self._buffer else data
        at = 0
        try:
            while (frame := _parse(buffer, at, self._size)) is not None:
                opcode, fin, payload, at = frame
                event = self._accept(opcode, fin, payload)
                if event is not None:
                    yield event
        finally:
            self._buffer = buffer[at:]

    def _accept(self, opcode: Opcode, fin: bool, payload: bytes) -> Event | None:
        if opcode >= Opcode.CLOSE:
            return _close_event(payload) if opcode is Opcode.CLOSE else Event(opcode, payload)
        if opcode is Opcode.CONTINUATION:
            if self._opcode is None:
                raise FrameError(1002, "continuation without a message")
        elif self._opcode is not None:
            raise FrameError(1002, "a new message inside a fragmented one")
        elif fin:
            return _message_event(opcode, payload)
        else:
            self._opcode = opcode
            self._utf8 = codecs.getincrementaldecoder("utf-8")() if opcode is Opcode.TEXT else None
        return self._fragment(fin, payload)

    def _fragment(self, fin: bool, payload: bytes) -> Event | None:
        self._size += len(payload)
        try:
            # Each fragment is checked as it comes, so a bad one fails at once (section 8.1).
            self._parts.append(self._utf8.decode(payload, fin) if self._utf8 else payload)
        except UnicodeDecodeError:
            raise FrameError(1007, "text is not UTF-8") from None
        if not fin:
            return None
        parts, opcode = self._parts, self._opcode
        self._parts, self._opcode, self._size, self._utf8 = [], None, 0, None
        if opcode is Opcode.TEXT:
            return Event(Opcode.TEXT, text="".join(part for part in parts if isinstance(part, str)))
        return Event(Opcode.BINARY, b"".join(part for part in parts if isinstance(part, bytes)))


def _parse(buffer: bytes, at: int, size_so_far: int) -> tuple[Opcode, bool, bytes, int] | None:
    """(opcode, fin, unmasked payload, where the next frame begins), or None when more bytes are needed."""
    have = len(buffer) - at
    if have < 2:
        return None
    first, second = buffer[at], buffer[at + 1]
    opcode = _check_head(first, second)
    size, at = second & 0x7F, at + 2
    if size > 125:
        width = 2 if size == 126 else 8
        if have < 2 + width:
            return None
        size, at = int.from_bytes(buffer[at : at + width], "big"), at + width
        if size < (126 if width == 2 else 65536):
            raise FrameError(1002, "length is not in its shortest form")
    if opcode < Opcode.CLOSE and size + size_so_far > MAX_MESSAGE_BYTES:
        raise FrameError(1009, f"a message may have at most {MAX_MESSAGE_BYTES} bytes")
    if len(buffer) < at + 4 + size:
        return None
    payload = _unmask(buffer[at + 4 : at + 4 + size], buffer[at : at + 4])
    return opcode, bool(first & 0x80), payload, at + 4 + size


def _check_head(first: int, second: int) -> Opcode:
    if first & 0x70:
        raise FrameError(1002, "reserved bits are set")
    try:
        opcode = Opcode(first & 0x0F)
    except ValueError:
        raise FrameError(1002, "reserved opcode") from None
    if not second & 0x80:
        raise FrameError(1002, "frames from a client must be masked")
    if opcode >= Opcode.CLOSE and (not first & 0x80 or second & 0x7F > _MAX_CONTROL_BYTES):
        raise FrameError(1002, "control frames are short and not fragmented")
    return opcode


def _unmask(payload: bytes, mask: bytes) -> bytes:
    # One XOR of two long integers: the fastest way in plain Python, far ahead of a loop over bytes.
    size = len(payload)
    if not size:
        return b""
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")


def _message_event(opcode: Opcode, payload: bytes) -> Event:
    if opcode is Opcode.BINARY:
        return Event(opcode, payload)
    try:
        return Event(opcode, text=payload.decode())
    except UnicodeDecodeError:
        raise FrameError(1007, "text is not UTF-8") from None


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
