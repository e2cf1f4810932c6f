"""How a connection ends, on a pair of sockets and the real event loop, whatever its owner does."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable, Iterator
from typing import cast

import gevent
import pytest

from app.protocol.frames import MAX_MESSAGE_BYTES, Opcode, encode
from app.realtime.connection import LINGER_BYTES, Connection, Outboxes, Owner
from tests.support.rawws import BINARY, CLOSE, PING, PONG, TEXT, close, frame


class Recorder:
    """An owner that notes what it is told, and raises where `faults` says so."""

    max_message_bytes = MAX_MESSAGE_BYTES

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        self.outboxes = Outboxes()
        self.told: list[str] = []

    def _note(self, name: str, what: object) -> None:
        self.told.append(f"{name} {what}")
        if name in self.faults:
            raise RuntimeError(name)

    def received(self, _conn: Connection, text: str) -> None:
        self._note("received", text)

    def received_bytes(self, _conn: Connection, data: bytes) -> None:
        self._note("received_bytes", data)

    def closing(self, _conn: Connection) -> None:
        self._note("closing", "")

    def closed(self, _conn: Connection, code: int) -> None:
        self._note("closed", code)


class Pair:
    """A connection of ours and the client's socket."""

    def __init__(self, owner: Recorder) -> None:
        ours, self.client = socket.socketpair()
        self.client.setblocking(False)
        plain = _socket.socket(ours.family, ours.type, ours.proto, fileno=ours.detach())
        plain.setblocking(False)
        self.conn = Connection(plain, cast(Owner, owner))

    def until(self, true: Callable[[], bool]) -> None:
        """Let the event loop run until this is so."""
        with gevent.Timeout(10):
            while not true():
                gevent.sleep(0.001)

    def reads_to_the_end(self) -> bytes:
        """All the client gets until the server hangs up."""
        got, ended = bytearray(), False

        def more() -> bool:
            nonlocal ended
            try:
                data = self.client.recv(65_536)
            except BlockingIOError:
                return False
            got.extend(data)
            ended = not data
            return ended

        self.until(more)
        return bytes(got)


@pytest.fixture
def pair_of() -> Iterator[Callable[[Recorder], Pair]]:
    pairs: list[Pair] = []

    def make(owner: Recorder) -> Pair:
        pairs.append(Pair(owner))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.client.close()
        pair.until(lambda conn=pair.conn: conn._reader is None)  # type: ignore[misc]


def test_messages_of_both_kinds_go_to_the_owner(pair_of: Callable[[Recorder], Pair]) -> None:
    owner = Recorder()
    pair = pair_of(owner)
    pair.client.send(frame(TEXT, b"hi") + frame(BINARY, b"\xff") + close(3000))
    assert pair.reads_to_the_end() == b"\x88\x02\x0b\xb8"
    pair.client.close()
    pair.until(lambda: "closed 3000" in owner.told)
    assert owner.told == ["received hi", r"received_bytes b'\xff'", "closing ", "closed 3000"]


@pytest.mark.parametrize("faults", [("received",), ("received", "closing"), ("received", "closing", "closed")])
def test_whatever_the_owner_raises_the_connection_ends(
    pair_of: Callable[[Recorder], Pair], faults: tuple[str, ...]
) -> None:
    owner = Recorder(*faults)
    pair = pair_of(owner)
    pair.client.send(frame(TEXT, b"hi") + frame(TEXT, b"late"))
    answer = pair.reads_to_the_end()
    assert (answer[0] & 0x0F, int.from_bytes(answer[2:4], "big")) == (CLOSE, 1011)
    pair.client.close()
    pair.until(lambda: "closed 1011" in owner.told)
    assert owner.told == ["received hi", "closing ", "closed 1011"]


def test_after_our_close_frame_only_the_answer_counts(pair_of: Callable[[Recorder], Pair]) -> None:
    owner = Recorder()
    pair = pair_of(owner)
    pair.conn.close(4401, "revoked")
    pair.client.send(frame(TEXT, b"late") + frame(PING, b"") + frame(BINARY, b"late") + close(4401))
    answer = pair.reads_to_the_end()
    assert (answer[:1], len(answer)) == (b"\x88", 2 + 2 + len("revoked"))
    pair.client.close()
    pair.until(lambda: owner.told == ["closing ", "closed 4401"])


def pings(pair: Pair) -> int:
    """How many pings have come to the client since it was last asked."""
    gevent.sleep(0.01)
    try:
        return pair.client.recv(4096).count(b"\x89\x00")
    except BlockingIOError:
        return 0


def test_who_is_silent_is_pinged_and_then_cut(pair_of: Callable[[Recorder], Pair]) -> None:
    owner = Recorder()
    pair = pair_of(owner)
    pair.conn.beat()
    assert pings(pair) == 1
    pair.client.send(frame(PONG, b""))
    pair.until(lambda: pair.conn.lively)
    pair.conn.beat()
    assert pings(pair) == 0, "the answer is sign enough for a turn"
    pair.conn.beat()
    assert pings(pair) == 1
    assert owner.told == []
    pair.conn.beat()
    assert owner.told == ["closed 1006"]


def test_who_only_talks_is_pinged_each_turn_and_never_cut(pair_of: Callable[[Recorder], Pair]) -> None:
    pair = pair_of(Recorder())
    for _ in range(5):
        pair.client.send(frame(TEXT, b"typing"))
        pair.until(lambda: pair.conn.heard)
        pair.conn.beat()
        assert pings(pair) == 1
    pair.client.send(frame(TEXT, b"unread so far"))
    pair.conn.beat()
    assert pair.conn.open


def test_what_is_queued_goes_out_before_the_end(pair_of: Callable[[Recorder], Pair]) -> None:
    pair = pair_of(Recorder())
    long = encode(Opcode.BINARY, bytes(600_000))
    pair.conn.send(long)
    assert pair.conn.queued_bytes
    pair.client.send(close())
    pair.until(lambda: pair.conn.close_code == 1000)
    assert pair.reads_to_the_end() == long + b"\x88\x02\x03\xe8"


def test_a_client_that_never_stops_sending_is_cut(pair_of: Callable[[Recorder], Pair]) -> None:
    owner = Recorder()
    pair = pair_of(owner)
    pair.client.send(close())
    sent = 0

    def cut() -> bool:
        nonlocal sent
        try:
            sent += pair.client.send(bytes(65_536))
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return False

    pair.until(cut)
    assert sent > LINGER_BYTES
    assert owner.told == ["closing ", "closed 1000"]


def test_an_idle_connection_keeps_no_decoder(pair_of: Callable[[Recorder], Pair]) -> None:
    owner = Recorder()
    pair = pair_of(owner)
    whole = frame(TEXT, b"in two pieces")
    pair.client.send(whole[:5])
    pair.until(lambda: pair.conn._decoder is not None)
    pair.client.send(whole[5:])
    pair.until(lambda: bool(owner.told))
    assert pair.conn._decoder is None
