"""A WebSocket client made of bare bytes, so that a test can say everything, also what is wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from operator import xor

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
REQUEST = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
)


@dataclass(frozen=True)
class Frame:
    """A frame the server sent."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        assert self.opcode == CLOSE
        return int.from_bytes(self.payload[:2], "big")


def head(opcode: int, size: int, *, fin: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """The head of a masked frame whose payload has `size` bytes."""
    first = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return first + bytes([0x80 | size]) + mask
    if size < 65_536:
        return first + b"\xfe" + size.to_bytes(2, "big") + mask
    return first + b"\xff" + size.to_bytes(8, "big") + mask


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A masked frame as a client builds it, written apart from the code under test."""
    return head(opcode, len(payload), fin=fin, mask=mask) + bytes(map(xor, payload, cycle(mask)))


def fragments(opcode: int, parts: Iterable[bytes]) -> list[bytes]:
    """The frames of one message in parts."""
    whole = list(parts)
    return [
        frame(opcode if n == 0 else CONTINUATION, part, fin=n == len(whole) - 1, mask=bytes([n % 256, 7, 99, 255]))
        for n, part in enumerate(whole)
    ]


def close(code: int = 1000, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


class Peer:
    """One connection to 127.0.0.1, over which any bytes can be sent."""

    def __init__(self, port: int, request: str = REQUEST, *, early: bytes = b"") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got = b""
        self.sock.sendall(request.encode("latin-1") + early)
        self.answer = self._until(b"\r\n\r\n").decode("latin-1")
        self.status = int(self.answer.split(" ", 2)[1])

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes, chop: int = 0) -> None:
        """Send, `chop` bytes at a time. A server that has hung up meanwhile is no error."""
        with suppress(ConnectionError):
            for at in range(0, len(data), chop or max(1, len(data))):
                self.sock.sendall(data[at : at + (chop or len(data))])

    def header(self, name: str) -> str | None:
        """Of the answer to the request."""
        for line in self.answer.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    def read(self) -> Frame | None:
        """The next frame; None at the orderly end. Raises ConnectionResetError where there was a reset."""
        if not self._got and not self._more():
            return None
        first, second = self._exactly(2)
        assert first & 0xF0 == 0x80, "the server sends whole frames, with no reserved bit set"
        assert second < 0x80, "the server masks nothing"
        size = second
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return Frame(first & 0x0F, self._exactly(size))

    def rest(self) -> list[Frame]:
        """All frames to the end of the connection."""
        found: list[Frame] = []
        while (got := self.read()) is not None:
            found.append(got)
        return found

    def _more(self) -> bool:
        data = self.sock.recv(262_144)
        self._got += data
        return bool(data)

    def _exactly(self, size: int) -> bytes:
        while len(self._got) < size:
            assert self._more(), "the connection ended inside a frame"
        data, self._got = self._got[:size], self._got[size:]
        return data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._got:
            assert self._more(), "the connection ended inside a head"
        data, _, self._got = self._got.partition(mark)
        return data
