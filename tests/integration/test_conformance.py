"""RFC 6455 over real connections: the echo application as a process, spoken to in bare bytes.

The groups are those a conformance suite has: framing, pings, reserved bits, opcodes, fragmentation,
UTF-8, closing, limits, large messages, handshake; then garbage, and clients that vanish or stay.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
import websocket
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol.frames import may_be_sent
from tests.support.rawws import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    REQUEST,
    TEXT,
    Frame,
    Peer,
    close,
    fragments,
    frame,
    head,
)
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port

MAX_BYTES = 16 * 1_048_576
NORMAL = Frame(CLOSE, (1000).to_bytes(2, "big"))


@dataclass
class EchoServer:
    """The echo application, running."""

    pid: int
    port: int
    idle_descriptors: int = 0
    faults_asked_for: int = 0

    def descriptors(self) -> int:
        """How many it has open now."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def forgets_its_clients(self) -> None:
        """Wait until no connection is left."""
        eventually(self.descriptors, lambda count: count <= self.idle_descriptors)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoServer]:
    """One process for all; `--goodbye-s` is short, because some clients here do not hang up."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.echo", "--port", str(port), "--goodbye-s", "1"]
    log = tmp_path_factory.mktemp("echo") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: "listening" in log.read_text() or process.poll() is not None)
        server = EchoServer(process.pid, port)
        server.idle_descriptors = server.descriptors()
        yield server
        assert process.poll() is None, log.read_text()
        assert log.read_text().count("internal error") == server.faults_asked_for
    finally:
        process.kill()
        process.wait()


def talk(echo: EchoServer, stream: bytes, chop: int = 0) -> list[Frame]:
    """All the server says to these bytes, to the orderly end of the connection."""
    with Peer(echo.port) as peer:
        peer.send(stream, chop)
        return peer.rest()


def echoes(echo: EchoServer, stream: bytes, *expected: Frame, chop: int = 0) -> None:
    """The stream is legal: these frames come back, and a close is answered after them."""
    assert talk(echo, stream + close(), chop) == [*expected, NORMAL]


def refuses(echo: EchoServer, stream: bytes, code: int, *before: Frame, chop: int = 0) -> None:
    """The stream is not: these frames come back, then a close frame with this code, then the end."""
    *frames, last = talk(echo, stream, chop)
    assert (frames, last.code) == (list(before), code)


# --- framing, pings, bits, opcodes --------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_framing(echo: EchoServer, opcode: int, size: int) -> None:
    payload = b"*" * size if opcode == TEXT else os.urandom(size)
    echoes(echo, frame(opcode, payload), Frame(opcode, payload))
    echoes(echo, frame(opcode, payload), Frame(opcode, payload), chop=1 if size < 200 else 997)


def test_framing_in_single_bytes(echo: EchoServer) -> None:
    payload = os.urandom(65_536)
    echoes(echo, frame(BINARY, payload), Frame(BINARY, payload), chop=1)


@pytest.mark.parametrize("size", [0, 1, 125])
def test_a_ping_is_answered_with_its_payload(echo: EchoServer, size: int) -> None:
    payload = os.urandom(size)
    echoes(echo, frame(PING, payload), Frame(PONG, payload))
    echoes(echo, frame(PING, payload), Frame(PONG, payload), chop=1)


def test_pings_are_answered_in_order_and_pongs_are_ignored(echo: EchoServer) -> None:
    payloads = [f"payload-{n}".encode() for n in range(10)]
    stream = b"".join(frame(PONG, b"unasked") + frame(PING, payload) for payload in payloads)
    for chop in (0, 1):
        echoes(echo, stream, *(Frame(PONG, payload) for payload in payloads), chop=chop)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_is_short_and_whole(echo: EchoServer, opcode: int) -> None:
    refuses(echo, frame(opcode, b"x" * 126), 1002)
    refuses(echo, frame(opcode, b"x" * 126), 1002, chop=1)
    refuses(echo, frame(opcode, b"", fin=False) + frame(CONTINUATION, b""), 1002)


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG])
def test_reserved_bits(echo: EchoServer, opcode: int, bits: int) -> None:
    bad = frame(opcode, b"hello")
    bad = bytes([bad[0] | bits << 4]) + bad[1:]
    refuses(echo, frame(TEXT, b"kept") + bad + frame(TEXT, b"ignored"), 1002, Frame(TEXT, b"kept"))


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes(echo: EchoServer, opcode: int) -> None:
    refuses(echo, frame(TEXT, b"kept") + frame(opcode, b"x") + frame(PING, b""), 1002, Frame(TEXT, b"kept"))


@pytest.mark.parametrize(
    "bad",
    [
        b"\x81\x05hello",  # not masked
        b"\x81\xfe\x00\x05" + bytes(9),
        b"\x81\xff" + (126).to_bytes(8, "big") + bytes(130),
        b"\x82\xff" + (1 << 63).to_bytes(8, "big") + bytes(4),
    ],
)
def test_heads_that_are_wrong(echo: EchoServer, bad: bytes) -> None:
    refuses(echo, bad, 1002)
    refuses(echo, bad, 1002, chop=1)


# --- fragmentation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("parts", [[b"", b"", b""], [b"", b"middle", b""], [b"a", b"b"], [b"x" * 400] * 5])
def test_fragments_with_pings_at_any_place(echo: EchoServer, opcode: int, parts: list[bytes]) -> None:
    frames = fragments(opcode, parts)
    whole = Frame(opcode, b"".join(parts))
    pong = Frame(PONG, b"!")
    for places in product((False, True), repeat=min(len(frames) - 1, 3)):
        stream = b"".join(
            one + (frame(PING, b"!") if n < len(places) and places[n] else b"") for n, one in enumerate(frames)
        )
        echoes(echo, stream, *[pong] * sum(places), whole)
    echoes(echo, b"".join(frames), whole, chop=1)


@pytest.mark.parametrize(
    ("stream", "before"),
    [
        (frame(CONTINUATION, b"x"), []),
        (frame(CONTINUATION, b"x", fin=False), []),
        (frame(TEXT, b"whole") + frame(CONTINUATION, b"x"), [Frame(TEXT, b"whole")]),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), []),
        (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b", fin=False), []),
        (b"".join(fragments(TEXT, [b"a", b"b"])) + frame(CONTINUATION, b"c"), [Frame(TEXT, b"ab")]),
    ],
)
def test_fragments_out_of_order(echo: EchoServer, stream: bytes, before: list[Frame]) -> None:
    refuses(echo, stream, 1002, *before)
    refuses(echo, stream, 1002, *before, chop=1)


# --- UTF-8 --------------------------------------------------------------------------------------------

GOOD_TEXTS = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\0\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffe\ufffd\ufdd0",
    "\U0001fffe\U0010ffff",
    "日本語",
    "👩‍👩‍👧‍👦",
]
BAD_TEXTS = {
    "lone continuation": b"\x80",
    "lone lead": b"\xce",
    "lead then letter": b"\xc3(",
    "overlong slash": b"\xc0\xaf",
    "overlong in three": b"\xe0\x80\xaf",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "largest overlong": b"\xe0\x9f\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond the last": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "cut in the middle": "κόσμε".encode()[:-1],
}


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_good_text(echo: EchoServer, text: str) -> None:
    data = text.encode()
    echoes(echo, frame(TEXT, data), Frame(TEXT, data))
    echoes(echo, frame(TEXT, data), Frame(TEXT, data), chop=1)
    echoes(echo, b"".join(fragments(TEXT, [bytes([byte]) for byte in data])), Frame(TEXT, data))


@pytest.mark.parametrize("data", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text(echo: EchoServer, data: bytes) -> None:
    refuses(echo, frame(TEXT, data), 1007)
    refuses(echo, frame(TEXT, b"good " + data), 1007, chop=1)
    refuses(echo, b"".join(fragments(TEXT, [bytes([byte]) for byte in data])), 1007)
    echoes(echo, frame(BINARY, data), Frame(BINARY, data))  # bytes may be anything


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0", b"\xe0\x80", b"\xed\xa0", b"\xf0\x80", b"\xf4\x90", b"\xf8"])
def test_bad_text_is_refused_while_its_frame_still_arrives(echo: EchoServer, bad: bytes) -> None:
    """Nothing after the bad byte is ever sent, so only a server that does not wait can answer."""
    part = "κόσμε".encode() + bad
    refuses(echo, frame(TEXT, part + b"edited")[: -len(b"edited")], 1007)
    refuses(
        echo, frame(TEXT, "κόσμε".encode(), fin=False) + frame(CONTINUATION, bad + b"edited")[: -len(b"edited")], 1007
    )


# --- closing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_a_legal_close_is_answered_once_with_its_code(echo: EchoServer, code: int) -> None:
    assert talk(echo, close(code, b"bye") + close(1001)) == [Frame(CLOSE, code.to_bytes(2, "big"))]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_an_illegal_close_code(echo: EchoServer, code: int) -> None:
    refuses(echo, close(code), 1002)


def test_other_forms_of_close(echo: EchoServer) -> None:
    assert talk(echo, frame(CLOSE, b"")) == [NORMAL]
    assert talk(echo, close(1000, b"x" * 123)) == [NORMAL]
    assert talk(echo, close(1000, "grüß".encode()), chop=1) == [NORMAL]
    refuses(echo, frame(CLOSE, b"\x03"), 1002)
    refuses(echo, close(1000, b"\xce\xba\xe1\xbd"), 1007)


@pytest.mark.parametrize("chop", [0, 1])
def test_after_a_close_nothing_is_acted_on(echo: EchoServer, chop: int) -> None:
    more = frame(TEXT, b"late") + frame(PING, b"late") + b"\xff\xff garbage"
    assert talk(echo, close() + more, chop) == [NORMAL]
    assert talk(echo, frame(TEXT, b"half", fin=False) + close() + frame(CONTINUATION, b"other half"), chop) == [NORMAL]
    refuses(echo, b"\x83\x80" + more, 1002, chop=chop)


def test_a_fault_of_the_owner_ends_in_a_close_frame(echo: EchoServer) -> None:
    echo.faults_asked_for += 1
    refuses(echo, frame(TEXT, b"raise") + frame(TEXT, b"late"), 1011)


# --- limits and large messages ------------------------------------------------------------------------


def test_too_long_a_message_is_refused_before_it_comes(echo: EchoServer) -> None:
    refuses(echo, head(BINARY, MAX_BYTES + 1), 1009)
    refuses(echo, head(TEXT, (1 << 63) - 1), 1009)
    refuses(echo, frame(TEXT, b"x", fin=False) + head(CONTINUATION, MAX_BYTES), 1009)


def test_who_goes_on_sending_still_reads_why(echo: EchoServer) -> None:
    """Unread bytes at the close would reset the connection, and the close frame with it."""
    refuses(echo, head(BINARY, MAX_BYTES + 1) + bytes(1_048_576), 1009, chop=65_536)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_large_messages(echo: EchoServer, opcode: int) -> None:
    for size in (1_048_576, 4_194_304):
        payload = os.urandom(size // 2).hex().encode()
        echoes(echo, frame(opcode, payload), Frame(opcode, payload), chop=65_536)
    parts = [payload[at : at + 65_536] for at in range(0, len(payload), 65_536)]
    echoes(echo, b"".join(fragments(opcode, parts)), Frame(opcode, payload), chop=65_536)


def test_many_messages_before_the_first_answer_is_read(echo: EchoServer) -> None:
    """More than the kernel holds: what waits is sent before the answer to the close."""
    payload = os.urandom(100_000)
    echoes(echo, frame(BINARY, payload) * 100, *[Frame(BINARY, payload)] * 100)


# --- handshake ----------------------------------------------------------------------------------------


def request(*changes: tuple[str, str], line: str = "GET / HTTP/1.1", more: str = "") -> str:
    """The good request with lines replaced by the first word of each change; "" removes one."""
    lines = REQUEST.split("\r\n")[1:-2]
    for name, new in changes:
        lines = [new if old.startswith(name + ":") else old for old in lines]
    return "\r\n".join([line, *(one for one in lines if one), *([more] if more else [])]) + "\r\n\r\n"


@pytest.mark.parametrize(
    "good",
    [
        REQUEST,
        REQUEST.replace("Upgrade: websocket", "uPGRADE:WebSocket").replace("Sec-WebSocket-", "SEC-WEBSOCKET-"),
        REQUEST.lower().replace(KEY.lower(), KEY).replace("get / http", "GET / HTTP"),
        request(("Connection", "Connection: keep-alive, Upgrade")),
        request(("Connection", "Connection: keep-alive\r\nConnection: upgrade")),
        request(("Upgrade", "Upgrade: h2c, websocket")),
        request(("Sec-WebSocket-Key", f"Sec-WebSocket-Key: \t {KEY}  \t")),
        request(
            more="Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat"
        ),
        request(more="Origin: https://anywhere.example"),
        request(more="Content-Length: 0"),
        request(line="GET /?a=b HTTP/1.1"),
    ],
)
def test_a_good_handshake(echo: EchoServer, good: str) -> None:
    with Peer(echo.port, good) as peer:
        assert peer.status == 101
        assert peer.header("Sec-WebSocket-Accept") == ACCEPT
        assert peer.header("Upgrade") == "websocket"
        assert peer.header("Connection") == "Upgrade"
        assert peer.header("Sec-WebSocket-Extensions") is None
        assert peer.header("Sec-WebSocket-Protocol") is None
        peer.send(frame(TEXT, b"hi") + close())
        assert peer.rest() == [Frame(TEXT, b"hi"), NORMAL]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (request(("Sec-WebSocket-Key", "")), 400),
        (request(("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBs")), 400),
        (request(("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNh bXBsZSBub25jZQ==")), 400),
        (request(("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ\xe9==")), 400),
        (request(more=f"Sec-WebSocket-Key: {KEY}"), 400),
        (request(("Connection", "")), 400),
        (request(("Connection", "Connection: keep-alive")), 400),
        (request(("Host", "")), 400),
        (request(more="Host: other.example"), 400),
        (request(more="Content-Length: 5"), 400),
        (request(more="Transfer-Encoding: chunked"), 400),
        (request(line="GET / HTTP/1.0"), 400),
        (request(line="POST / HTTP/1.1"), 405),
        (request(line="GET /elsewhere HTTP/1.1"), 404),
        (request(("Upgrade", "")), 426),
        (request(("Upgrade", "Upgrade: h2c")), 426),
        (request(("Upgrade", "Upgrade: websockets")), 426),
        (request(("Sec-WebSocket-Version", "")), 426),
        (request(("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")), 426),
        (request(("Sec-WebSocket-Version", "Sec-WebSocket-Version: 14")), 426),
        (request(more="Sec-WebSocket-Version: 13"), 426),
    ],
)
def test_a_bad_handshake(echo: EchoServer, bad: str, status: int) -> None:
    with Peer(echo.port, bad) as peer:
        assert peer.status == status
        if status == 426:
            assert (peer.header("Sec-WebSocket-Version"), peer.header("Upgrade")) == ("13", "websocket")


def test_frames_right_behind_the_request_are_not_lost(echo: EchoServer) -> None:
    with Peer(echo.port, early=frame(TEXT, b"early") + frame(TEXT, b"cut")[:4]) as peer:
        peer.send(frame(TEXT, b"cut")[4:] + close())
        assert peer.rest() == [Frame(TEXT, b"early"), Frame(TEXT, b"cut"), NORMAL]


# --- garbage, and clients that vanish or stay ---------------------------------------------------------

ONE_OF_EACH = (
    frame(TEXT, "grüß".encode())
    + frame(PING, b"ping")
    + b"".join(fragments(BINARY, [b"a" * 200, b"", b"b" * 70_000]))
    + frame(PONG, b"")
    + close(1000, b"bye")
)


def ends_in_order(echo: EchoServer, stream: bytes) -> None:
    """The client says this and hangs up; the server's frames are whole, and then it hangs up too."""
    with Peer(echo.port) as peer:
        peer.send(stream)
        peer.sock.shutdown(socket.SHUT_WR)
        for got in peer.rest():
            assert got.opcode in {TEXT, BINARY, PONG, CLOSE}
            assert got.opcode != CLOSE or may_be_sent(got.code)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=20).map(lambda end: frame(TEXT, b"fine") + end)))
def test_garbage_ends_in_order(echo: EchoServer, garbage: bytes) -> None:
    ends_in_order(echo, garbage)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, len(ONE_OF_EACH)), st.integers(0, 500), st.integers(0, 255))
def test_a_stream_cut_or_damaged_anywhere_ends_in_order(echo: EchoServer, end: int, place: int, bits: int) -> None:
    damaged = bytearray(ONE_OF_EACH[:end])
    if place < len(damaged):
        damaged[place] ^= bits
    ends_in_order(echo, bytes(damaged))


def test_no_descriptor_is_kept_of_clients_that_vanish(echo: EchoServer) -> None:
    for end in range(0, 60, 3):
        with Peer(echo.port) as peer:
            peer.send(ONE_OF_EACH[:end])
    echo.forgets_its_clients()


@pytest.mark.parametrize("last_words", [close(), b"\x83\x80\x00\x00\x00\x00"])
def test_who_does_not_hang_up_is_cut(echo: EchoServer, last_words: bytes) -> None:
    echo.forgets_its_clients()
    with Peer(echo.port) as peer:
        peer.send(last_words)
        assert [got.opcode for got in peer.rest()] == [CLOSE]
        echo.forgets_its_clients()


# --- a client of other hands --------------------------------------------------------------------------


def test_websocket_client(echo: EchoServer) -> None:
    conn = websocket.create_connection(f"ws://127.0.0.1:{echo.port}/", timeout=10, origin="https://x.example")
    conn.send("grüß")
    assert conn.recv() == "grüß"
    conn.send_binary(b"\x00\xff" * 50_000)
    assert conn.recv() == b"\x00\xff" * 50_000
    conn.ping("still there?")
    assert conn.recv_frame().opcode == websocket.ABNF.OPCODE_PONG
    conn.close(status=1000)
    assert not conn.connected
