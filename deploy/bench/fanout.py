"""The one place where the benchmarks touch the hub: real connections over given sockets, and messages to them."""

from __future__ import annotations

import _socket
import inspect
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Kind
from app.metrics import Counter, Histogram, Metrics
from app.realtime import hub as hub_module
from app.realtime.connection import SEND_BUFFER_BYTES, Connection
from app.realtime.faults import Faults
from app.realtime.hub import Hub, Sequenced, Session
from deploy.bench.sinks import Sink

NEVER = 10**9


class Nobody:
    """The owner of connections on which nothing comes in."""

    def received(self, conn: Connection, text: str) -> None:
        """Nothing is read."""

    def flushed(self, stamp: float) -> None:
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


def make_hub(metrics: Metrics) -> Hub:
    """The hub of a node that has no faults switched on."""
    return Hub(metrics, Faults(metrics, allowed=False))


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
            session = Session(conn, UserId(first + n), DeviceId(first + n), math.inf, time.time())
            hub.attach(session)
            hub.subscribe(session, self.convs[n // size])
            hub.caught_up(session, self.convs[n // size], 0)

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


def set_chunk(size: int | None) -> bool:
    """Sends of a large fan-out before it yields (None: what the hub has itself); False where the hub never yields."""
    global _chunk
    if not hasattr(hub_module, "CHUNK"):
        return False
    _chunk = _chunk or hub_module.CHUNK
    vars(hub_module)["CHUNK"] = size or _chunk
    return True


_chunk = 0


class _NoCounter(Counter):
    def add(self, n: float = 1) -> None:
        """Nothing."""


class _NoHistogram(Histogram):
    def observe(self, value: float, n: int = 1) -> None:
        """Nothing."""


class _Silent(Metrics):
    def counter(self, name: str, *labels: str) -> Counter:  # noqa: ARG002
        return _NoCounter()

    def histogram(self, name: str, *labels: str) -> Histogram:  # noqa: ARG002
        return _NoHistogram(())


def silent_metrics() -> Metrics:
    """The null recorder: the same declarations, and children that do nothing."""
    make: Any = Metrics
    if "recording" in inspect.signature(Metrics).parameters:
        silent: Metrics = make(recording=False)
        return silent
    return _Silent()
