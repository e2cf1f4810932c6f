"""Running a node: the public server, the metrics server, and going away in good order.

A node of its own listens alone and keeps listening while it drains, so that newcomers are told 503. A worker
of `serve --workers N` shares its port (SO_REUSEPORT) and stops listening first: the kernel then gives newcomers
to the workers that stay.
"""

from __future__ import annotations

import math
import os
import random
import signal
import socket
import time
from typing import ClassVar

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer
from psycogreen.gevent import patch_psycopg

from app import logs
from app.config import Config
from app.errors import ConfigError
from app.exposition import Exposition
from app.factory import Node, create_node
from app.metrics import watch_gc_pauses
from app.protocol import wire
from app.realtime.upgrade import Handler

BACKLOG = 4_096
RECONNECTS_PER_S = 1_000
"""How many connections a second this node may send to the others, whatever their number."""
DRAIN_TICK_S = 0.1
ANSWERS_S = 5.0
"""How long the sends that were taken may keep a batch open; as long as a database statement may run."""
GOODBYE_S = 1.0
PARENT_CHECK_S = 0.5

log = logs.get("server")


class PublicHandler(Handler):
    """The handler of the public server, which knows how many requests are being answered."""

    in_progress: ClassVar[int] = 0

    def handle_one_response(self) -> None:
        """pywsgi's, counted."""
        PublicHandler.in_progress += 1
        try:
            super().handle_one_response()
        finally:
            PublicHandler.in_progress -= 1


def serve(config: Config, supervisor: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then close every connection with a word when to come back.

    `supervisor` is the process whose worker this is: the port is shared, and when that process
    is gone this one drains and ends. Raises ConfigError when a port is taken, Unavailable when
    the database cannot be reached.
    """
    stop, hurry = _on_signals()
    patch_psycopg()
    logs.configure(config.log_level, config.node_id)
    node = create_node(config)
    stop_watching = watch_gc_pauses(node.metrics.histogram("messenger_gc_pause_seconds"))
    shared = supervisor is not None
    port = bind("PORT", config.host, config.port, shared=shared)
    metrics_port = bind("METRICS_PORT", config.metrics_host, config.metrics_port, shared=False)
    public = WSGIServer(port, node.app, handler_class=PublicHandler, log=None)
    private = WSGIServer(metrics_port, Exposition(node.metrics).wsgi, log=None)
    node.start()
    # Only now: what waited at a worker that cannot start would be reset, and the others would have served it.
    port.listen(BACKLOG)
    metrics_port.listen()
    public.start()
    private.start()
    if supervisor is not None:
        gevent.spawn(_follow, supervisor, stop)
    log.info("serving", port=config.port, metrics_port=config.metrics_port, env=config.app_env)
    stop.wait()
    log.info("draining", connections=len(node.gatekeeper.connections))
    _go_away(node, public, config.drain_s, hurry, alone=not shared)
    private.stop(timeout=1)
    node.stop()
    stop_watching()
    log.info("stopped")


def bind(key: str, host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket on this port, not yet listening; `shared` lets other processes of this user have it, too.

    Raises ConfigError naming the setting `key` when the port is taken.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # What is accepted inherits it. Head and body of an answer are two writes: without it the body waits for the
    # acknowledgement of the head, which the other side delays by 40 ms on a connection that is kept.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise ConfigError([f"{key}: port {port} cannot be used: {error.strerror}"]) from None
    return sock


def _on_signals() -> tuple[Event, Event]:
    """(set by the first SIGTERM or SIGINT, set by the second)."""
    stop, hurry = Event(), Event()

    def told() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, told)
    return stop, hurry


def _follow(supervisor: int, stop: Event) -> None:
    """End with the supervisor: a worker without one would keep a port that nobody watches any more.

    Asking for the parent works on every Unix and leads to the ordinary drain; Linux' parent-death signal does neither.
    """
    while os.getppid() == supervisor:
        gevent.sleep(PARENT_CHECK_S)
    log.warning("the supervisor is gone")
    stop.set()


def batch_size(connections: int, drain_s: float) -> int:
    """How many connections to close each DRAIN_TICK_S, so that all are gone after `drain_s` seconds.

    At least as many as the other nodes can take in the same time: a small node need not wait.

    >>> batch_size(10, 20), batch_size(18_500, 20), batch_size(18_500, 10)
    (100, 100, 185)
    """
    return max(round(RECONNECTS_PER_S * DRAIN_TICK_S), math.ceil(connections * DRAIN_TICK_S / drain_s))


def reconnect_window_ms(connections: int) -> int:
    """Over how long the reconnects of `connections` are spread, in milliseconds.

    Each is told a moment by chance, evenly over this window. Then at most RECONNECTS_PER_S come
    back a second, however fast they were closed.

    >>> reconnect_window_ms(10), reconnect_window_ms(18_500)
    (1000, 18500)
    """
    return max(1_000, connections * 1_000 // RECONNECTS_PER_S)


def _go_away(node: Node, public: WSGIServer, drain_s: float, hurry: Event, *, alone: bool) -> None:
    """Drain, at most `drain_s` seconds or until `hurry`; then cut whoever is still there."""
    node.gateway.draining = True
    if not alone:
        _stop_listening(public)
    drain = gevent.spawn(_drain, node, drain_s)
    gevent.wait([drain, hurry], timeout=drain_s + ANSWERS_S, count=1)
    drain.kill()
    if alone:
        _stop_listening(public)
    for conn in list(node.gatekeeper.connections):
        conn.abort(1012)


def _stop_listening(public: WSGIServer) -> None:
    """Accept what waits, as closing would reset it; then close."""
    public.stop_accepting()
    while (accepted := public.do_read()) is not None:
        public.do_handle(*accepted)
    public.close()


def _drain(node: Node, drain_s: float) -> None:
    """Close in batches: each hears when to come back, gets the answers to what it sent, and is closed."""
    connections = list(node.gatekeeper.connections)
    size, window_ms = batch_size(len(connections), drain_s), reconnect_window_ms(len(connections))
    for start in range(0, len(connections), size):
        batch = connections[start : start + size]
        for conn in batch:
            conn.send(wire.frame(wire.Drain(random.randrange(window_ms))))  # noqa: S311  not a secret
        gevent.sleep(DRAIN_TICK_S)
        node.committer.wait_for_answers(ANSWERS_S)
        for conn in batch:
            conn.close(1012, "this node is going away")
    deadline = time.monotonic() + GOODBYE_S
    gevent.sleep(DRAIN_TICK_S)  # who was just accepted has yet to ask
    while (node.gatekeeper.connections or PublicHandler.in_progress) and time.monotonic() < deadline:
        gevent.sleep(0.02)
