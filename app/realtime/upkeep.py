"""What a node does by the clock: beats, deadlines, settling deliveries, measuring the loop, housekeeping."""

from __future__ import annotations

import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import gevent

from app import logs
from app.errors import AppError
from app.metrics import Metrics
from app.realtime import expiry
from app.realtime.arrivals import Arrivals
from app.realtime.connection import Connection
from app.realtime.cursors import Cursors
from app.realtime.hub import Hub, Session
from app.realtime.postman import Postman
from app.realtime.session import Gatekeeper
from app.realtime.settlement import Settlement

SETTLE_EVERY_S = 1.0
LAG_PROBE_S = 0.1
HOUSEKEEPING_S = 600.0
GC_EVERY_S = 5.0
MIN_TO_FREEZE = 1_000

log = logs.get("upkeep")


def beat(gatekeeper: Gatekeeper, beat_s: int) -> None:
    """Ping, cut and expire, for ever; one greenlet for all connections.

    Each second one slot of the roster has its turn (see `Connection.beat`). The roster has two slots for three
    seconds of a beat, so three turns, after which a half-open connection is cut, are two beats.
    """
    turn = 0
    while True:
        gevent.sleep(1)
        turn += 1
        for conn in gatekeeper.connections.slot(turn):
            conn.beat()
            if isinstance(conn.session, Session):
                expiry.watch(conn.session, beat_s + 1)
        _enforce_deadlines(gatekeeper)


def _enforce_deadlines(gatekeeper: Gatekeeper) -> None:
    for conn in tuple(gatekeeper.outboxes.waiting):
        if conn.stalled(time.monotonic()):
            conn.give_up()
    for conn in due(gatekeeper.waiting_for_hello):
        if conn.session is None:
            conn.close(4408, "hello came too late")
    for conn in due(gatekeeper.waiting_for_goodbye):
        conn.abort(1006)


def due(waiting: deque[tuple[float, Connection]]) -> Iterator[Connection]:
    """Those whose deadline has passed; all deadlines of one queue are equally far, so they end in order."""
    while waiting and waiting[0][0] <= time.monotonic():
        yield waiting.popleft()[1]


def settle(settlement: Settlement) -> None:
    """Settle deliveries whose 30 seconds are over, for ever."""
    while True:
        gevent.sleep(SETTLE_EVERY_S)
        settlement.settle(time.monotonic())


def measure_loop_lag(metrics: Metrics) -> None:
    """How late a timer fires, for ever."""
    histogram = metrics.histogram("messenger_loop_lag_seconds")
    while True:
        started = time.perf_counter()
        gevent.sleep(LAG_PROBE_S)
        histogram.observe(max(0.0, time.perf_counter() - started - LAG_PROBE_S))


def take_epoch(
    arrivals: Arrivals, cursors: Cursors, postman: Postman, settlement: Settlement, hub: Hub, epoch: str
) -> None:
    """The database has this name now. If it had another one, everybody must come again and be told so."""
    before, arrivals.epoch, cursors.epoch = arrivals.epoch, epoch, epoch
    postman.take_epoch(epoch)
    if before:
        hub.forget_marks()
        settlement.forget()
        log.error("another database answers now; every device is sent to come again", before=before, now=epoch)
        for session in hub.sessions():
            session.conn.close(1012, "the database was restored")


def keep_collections_short(gatekeeper: Gatekeeper) -> None:
    """Take what lives long out of the garbage collector's sight, for ever.

    A full collection over the objects of 15,000 sessions holds the loop for some 30 ms. Once a ramp is over,
    what is there is frozen; when most of it has gone, it is given back. Connections hold no cycles once they are
    closed, so nothing is lost by not looking.
    """
    frozen = before = 0
    while True:
        gevent.sleep(GC_EVERY_S)
        now = len(gatekeeper.connections)
        quiet = abs(now - before) <= now // 100
        before = now
        if quiet and now > MIN_TO_FREEZE and now > frozen * 1.2:
            gc.collect()
            gc.freeze()
            frozen = now
        elif now < frozen // 2:
            gc.unfreeze()
            frozen = now


def housekeeping(forget: Sequence[Callable[[], None]]) -> None:
    """Drop what no check can need any more, for ever: each of `forget` does so for one service."""
    while True:
        gevent.sleep(HOUSEKEEPING_S)
        for drop in forget:
            try:
                drop()
            except AppError as error:
                log.warning("housekeeping failed", error=error.message)


def every(every_s: float, look: Callable[[], None]) -> None:
    """At once and then so often, for ever; what the database refuses is asked again the next time."""
    while True:
        with contextlib.suppress(AppError):
            look()
        gevent.sleep(every_s)


def forever(name: str, run: Callable[[], None]) -> Callable[[], None]:
    """`run`, started again when it fails: no single fault may leave a node without one of its parts."""

    def keep() -> None:
        while True:
            try:
                return run()
            except Exception:
                log.exception("a part of the node failed and is started again", which=name)
                gevent.sleep(0.2)

    return keep
