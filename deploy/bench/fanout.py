"""The one place where the benchmarks touch the hub: real connections over given sockets, and messages to them."""

from __future__ import annotations

import _socket
import math
import time
from collections.abc import Callable, Sequence

import gevent

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Kind
from app.metrics import Metrics
from app.realtime.connection import SEND_BUFFER_BYTES, Connection, Outboxes
from app.realtime.fanout import CHUNK, Fanout
from app.realtime.faults import Faults
from app.realtime.hub import Hub, Sequenced, Session
from deploy.bench.sinks import Sink

NEVER = 10**9


class Nobody:
    """The owner of connections on which nothing comes in."""

    max_message_bytes = 0

    def __init__(self) -> None:
        self.outboxes = Outboxes()

    def received(self, conn: Connection, text: str) -> None:
        """Nothing is read."""

    def received_bytes(self, conn: Connection, data: bytes) -> None:
        """Nothing is read."""

    def flushed(self, token: object) -> None:
        """Nobody counts it."""

    def closing(self, conn: Connection) -> None:
        """Nobody waits for an answer."""

    def closed(self, conn: Connection, code: int) -> None:  # noqa: ARG002
        """Fail loudly: a round over fewer connections would look cheap."""
        raise RuntimeError(f"a connection was lost while it was measured ({code})")


def connections(socks: Sequence[_socket.socket]) -> list[Connection]:
    """A connection on each socket, set up as `adopt` does it; the sockets stay usable for a bare loop."""
    for sock in socks:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    owner = Nobody()
    return [Connection(sock, owner) for sock in socks]


def make_hub(metrics: Metrics, chunk: int = CHUNK) -> Hub:
    """The hub of a node that has no faults switched on; its large fan-outs yield after `chunk` sends."""
    fanout = Fanout(metrics, Faults(metrics, allowed=False), chunk)
    gevent.spawn(fanout.run)
    return Hub(metrics, fanout)


class FanOut:
    """Conversations of one hub: every `size` neighbours of `conns` listen to one, all caught up.

    `first` is the number of the first conversation, person and device; several of these in one hub
    need ranges of their own.
    """

    def __init__(self, hub: Hub, conns: Sequence[Connection], size: int, first: int = 1) -> None:
        self._hub = hub
        self._seq = 0
        self.convs = [ConversationId(first + n) for n in range(len(conns) // size)]
        for n, conn in enumerate(conns):
            session = Session(conn, UserId(first + n), DeviceId(first + n), math.inf, time.time(), fence=n)
            hub.attach(session)
            hub.join(session, self.convs[n // size], 0)

    def message(self, frame: bytes) -> None:
        """One message to every conversation; a large fan-out may go on after this returns."""
        self._seq += 1
        for conv in self.convs:
            self.message_to(conv, self._seq, frame)

    def message_to(self, conv: ConversationId, seq: int, frame: bytes) -> None:
        """Message number `seq`, from 1 without holes, to one conversation; not to be mixed with `message`."""
        self._hub.deliver(Sequenced(conv, seq, Kind.MESSAGE, UserId(1), time.time(), frame))


def cpu_s(send: Callable[[], object], sink: Sink, size_bytes: int) -> float:
    """CPU seconds of this process from `send()` until its `size_bytes` have arrived; raises TimeoutError."""
    wanted = sink.drained_bytes + size_bytes
    started = time.process_time()
    send()
    sink.wait(wanted, gevent.sleep)
    return time.process_time() - started
