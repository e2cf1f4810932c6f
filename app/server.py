"""Running a node: the public server, the metrics server, and going away in good order."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterable

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer
from prometheus_client import make_wsgi_app
from psycogreen.gevent import patch_psycopg

from app import logs
from app.config import Config
from app.errors import ConfigError
from app.factory import Node, create_node
from app.metrics import registry_of, watch_gc_pauses
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.upgrade import Handler

BACKLOG = 4_096
DRAIN_BATCH = 500
DRAIN_PAUSE_S = 0.1
RECONNECT_SPREAD_MS = 2_000

log = logs.get("server")


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then close every connection with a word when to come back.

    Raises ConfigError when a port is taken, Unavailable when the database cannot be reached.
    """
    patch_psycopg()
    logs.configure(config.log_level, config.node_id)
    node = create_node(config)
    stop_watching = watch_gc_pauses(node.metrics.histogram("messenger_gc_pause_seconds"))
    public = WSGIServer((config.host, config.port), node.app, handler_class=Handler, log=None, backlog=BACKLOG)
    private = WSGIServer((config.metrics_host, config.metrics_port), make_wsgi_app(registry_of(node.metrics)), log=None)
    _listen(public, "PORT", config.port)
    _listen(private, "METRICS_PORT", config.metrics_port)
    node.start()
    public.start_accepting()
    private.start_accepting()
    log.info("serving", port=config.port, metrics_port=config.metrics_port, env=config.app_env)
    _wait_for_signal()
    log.info("draining", connections=len(node.gatekeeper.connections))
    _drain(node, public)
    private.stop(timeout=1)
    node.stop()
    stop_watching()
    log.info("stopped")


def _listen(server: WSGIServer, key: str, port: int) -> None:
    try:
        server.init_socket()
    except OSError as error:
        raise ConfigError([f"{key}: port {port} cannot be used: {error.strerror}"]) from None


def _wait_for_signal() -> None:
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, stop.set)
    stop.wait()


def _drain(node: Node, public: WSGIServer) -> None:
    """Refuse newcomers, then close in batches; each client is told its own moment to come back."""
    node.gateway.draining = True
    connections = list(node.gatekeeper.connections)
    for start in range(0, len(connections), DRAIN_BATCH):
        _send_away(connections[start : start + DRAIN_BATCH])
        gevent.sleep(DRAIN_PAUSE_S)
    public.stop(timeout=2)
    for conn in list(node.gatekeeper.connections):
        conn.abort(1012)


def _send_away(connections: Iterable[Connection]) -> None:
    for conn in connections:
        # Spread over time by chance, so that the next node does not meet everybody at once.
        conn.send(wire.frame(wire.Drain(random.randrange(RECONNECT_SPREAD_MS))))  # noqa: S311  not a secret
        conn.close(1012, "this node is going away")
