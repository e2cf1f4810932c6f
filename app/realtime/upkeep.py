"""What a node does by the clock: beats, deadlines, settling deliveries, measuring the loop, housekeeping."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

import gevent

from app import logs
from app.errors import AppError, TokenExpired
from app.metrics import Metrics
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.hub import Hub
from app.realtime.session import Gatekeeper
from app.services.accounts import Accounts
from app.services.messages import SETTLE_AFTER_S, Messages

SETTLE_EVERY_S = 5.0
LAG_PROBE_S = 0.1
HOUSEKEEPING_S = 600.0

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
                if not conn.heard:
                    conn.abort(1006)
                else:
                    conn.ping()
        _enforce_deadlines(gatekeeper, hub)


def _enforce_deadlines(gatekeeper: Gatekeeper, hub: Hub) -> None:
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


def housekeeping(accounts: Accounts) -> None:
    """Drop what no check can need any more, for ever."""
    while True:
        gevent.sleep(HOUSEKEEPING_S)
        try:
            accounts.forget_expired()
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
