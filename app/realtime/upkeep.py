"""What a node does by the clock: beats, deadlines, settling deliveries, measuring the loop, housekeeping."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator

import gevent

from app import logs
from app.errors import AppError, TokenExpired
from app.metrics import Metrics
from app.protocol import wire
from app.realtime.arrivals import Arrivals
from app.realtime.connection import Connection
from app.realtime.hub import Hub
from app.realtime.session import Gatekeeper
from app.services.accounts import Accounts
from app.services.devices import Devices
from app.services.messages import SETTLE_AFTER_S, Messages

SETTLE_EVERY_S = 5.0
LAG_PROBE_S = 0.1
HOUSEKEEPING_S = 600.0
GC_EVERY_S = 5.0
MIN_TO_FREEZE = 1_000

log = logs.get("upkeep")


def beat(gatekeeper: Gatekeeper, hub: Hub, beat_s: int) -> None:
    """Ping, cut and expire, for ever; one greenlet for all connections.

    Each second takes the connections of one slot of the wheel, so every connection has its turn once
    in `beat_s` seconds: it is pinged, or cut when nothing came since the last ping. A half-open one lives two beats.
    """
    turn = 0
    while True:
        gevent.sleep(1)
        turn = (turn + 1) % beat_s
        for conn in tuple(gatekeeper.connections):
            if id(conn) // 64 % beat_s == turn:  # objects lie at least that far apart, so the slots fill evenly
                if conn.lives():
                    conn.ping()
                else:
                    conn.abort(1006)
        _enforce_deadlines(gatekeeper, hub)


def _enforce_deadlines(gatekeeper: Gatekeeper, hub: Hub) -> None:
    for conn in tuple(gatekeeper.outboxes.waiting):
        if conn.stalled(time.monotonic()):
            conn.give_up()
    for conn in due(gatekeeper.waiting_for_hello):
        if conn.session is None:
            conn.close(4408, "hello came too late")
    for conn in due(gatekeeper.waiting_for_goodbye):
        conn.abort(1006)
    now = time.time()
    for session in hub.sessions():
        if session.expires_at <= now:
            expired = TokenExpired()
            session.conn.send(wire.error_frame(expired))
            session.conn.close(4402, expired.code)


def due(waiting: deque[tuple[float, Connection]]) -> Iterator[Connection]:
    """Those whose deadline has passed; all deadlines of one queue are equally far, so they end in order."""
    while waiting and waiting[0][0] <= time.monotonic():
        yield waiting.popleft()[1]


def settle(messages: Messages, hub: Hub, metrics: Metrics) -> None:
    """Count owed and acknowledged deliveries once their 30 seconds are over, for ever.

    Only devices connected since before the message count: who was away is served by catching up.
    """
    settled = metrics.counter("messenger_deliveries_settled_total")
    confirmed = metrics.counter("messenger_deliveries_confirmed_total")
    begin = time.time() - SETTLE_AFTER_S
    while True:
        gevent.sleep(SETTLE_EVERY_S)
        end = time.time() - SETTLE_AFTER_S
        connected = [(session.device, session.since) for session in hub.sessions()]
        try:
            owed, acknowledged = messages.settle(connected, begin, end) if connected else (0, 0)
        except AppError as error:
            log.warning("deliveries could not be settled yet", error=error.message)
            continue
        settled.add(owed)
        confirmed.add(acknowledged)
        begin = end


def measure_loop_lag(metrics: Metrics) -> None:
    """How late a timer fires, for ever."""
    histogram = metrics.histogram("messenger_loop_lag_seconds")
    while True:
        started = time.perf_counter()
        gevent.sleep(LAG_PROBE_S)
        histogram.observe(max(0.0, time.perf_counter() - started - LAG_PROBE_S))


def take_epoch(arrivals: Arrivals, hub: Hub, epoch: str) -> None:
    """The database has this name now. If it had another one, everybody must come again and be told so."""
    before, arrivals.epoch = arrivals.epoch, epoch
    if before:
        log.error("another database answers now; every device is sent to come again", before=before, now=epoch)
        for session in hub.sessions():
            session.conn.close(1012, "the database was restored")


def keep_collections_short(gatekeeper: Gatekeeper) -> None:
    """Take what lives long out of the garbage collector's sight, for ever.

    A full collection over 15,000 connections holds the loop for 70 ms. Once a ramp is over, what is there is
    frozen; when most of it has gone, it is given back. Connections hold no cycles once they are closed, so
    nothing is lost by not looking.
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


def housekeeping(accounts: Accounts, devices: Devices) -> None:
    """Drop what no check can need any more, for ever."""
    while True:
        gevent.sleep(HOUSEKEEPING_S)
        try:
            accounts.forget_expired()
            devices.forget_events()
        except AppError as error:
            log.warning("housekeeping failed", error=error.message)


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
