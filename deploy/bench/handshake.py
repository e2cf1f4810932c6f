"""The client's side of RFC 6455 in the few lines a benchmark needs: handshake, masked frames, parsing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_MASK = b"\x37\xfa\x21\x3d"
"""Fixed: the mask guards proxies against browsers, and there is neither here."""
_MASK_INTS = [int.from_bytes((_MASK * 33)[:size], "little") for size in range(127)]


class HandshakeFailed(Exception):
    """The server did not switch protocols; the text is its status line."""


def request(port: int, path: str) -> bytes:
    """The handshake of a client that offers no extension."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join((*lines, "", "")).encode()


def connect(port: int, path: str) -> socket.socket:
    """A blocking, connected WebSocket; raises HandshakeFailed or OSError."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(request(port, path))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = sock.recv(4096)
        if not data:
            break
        answer += data
    require_switch(answer)
    return sock


def require_switch(answer: bytes) -> None:
    """Raise HandshakeFailed unless this is the head of a 101."""
    if not answer.startswith(b"HTTP/1.1 101"):
        raise HandshakeFailed(answer.split(b"\r\n", 1)[0].decode(errors="replace") or "connection closed")


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One masked frame of at most 65,535 bytes."""
    size = len(payload)
    if size < 126:
        head, key = bytes((0x80 | opcode, 0x80 | size)), _MASK_INTS[size]
    else:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
        key = int.from_bytes((_MASK * (size // 4 + 1))[:size], "little")
    return head + _MASK + (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")


def parse(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each whole unmasked frame in `data`: opcode, payload, where the next one begins."""
    at, end = 0, len(data)
    while end - at >= 2:
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start + size > end or start > end:
            return
        opcode, at = data[at] & 0x0F, start + size
        yield opcode, data[start:at], at
