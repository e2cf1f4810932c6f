"""An echo server over the node's own WebSocket code, for conformance runs by an outside suite.

`python -m tests.support.echo --port P [--max-message-bytes N] [--goodbye-s S]` sends every text back as text and
every binary message as binary, on ws://127.0.0.1:P/. Handshake, upgrade, connection and frames are
those of a node; only the owner of the connections is another. It prints one line when it listens
and runs until SIGTERM or SIGINT. With Autobahn's suite: `wstest -m fuzzingclient -s SPEC`, its
`servers` naming that URL; its messages of up to 16 MiB need the default limit.

The message `raise` makes the owner raise, to show what becomes of a connection then.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import signal  # noqa: E402

import gevent  # noqa: E402
from flask import Flask  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from app.protocol.frames import Opcode, encode  # noqa: E402
from app.realtime.connection import Connection, Outboxes  # noqa: E402
from app.realtime.upgrade import Handler, Upgrader  # noqa: E402

FAULT = "raise"


class Echo:
    """Owner of every connection: says back what it hears."""

    def __init__(self, max_message_bytes: int, goodbye_s: float) -> None:
        self.max_message_bytes = max_message_bytes
        # Echoes of the largest messages must be able to wait, several at once.
        self.outboxes = Outboxes(each_bytes=4 * max_message_bytes + 1_048_576)
        self._goodbye_s = goodbye_s

    def received(self, conn: Connection, text: str) -> None:
        """A text comes back as text."""
        if text == FAULT:
            raise RuntimeError("as asked for")
        conn.send(encode(Opcode.TEXT, text.encode()))

    def received_bytes(self, conn: Connection, data: bytes) -> None:
        """Bytes come back as bytes."""
        conn.send(encode(Opcode.BINARY, data))

    def flushed(self, token: object) -> None:
        """Nobody asks."""

    def closing(self, conn: Connection) -> None:
        """Who does not hang up in time is cut."""
        gevent.spawn_later(self._goodbye_s, conn.abort, 1006)

    def closed(self, conn: Connection, code: int) -> None:
        """Nothing is kept."""


def create_app(owner: Echo) -> Flask:
    """The echo as a Flask application; its server must use the node's Handler."""
    app = Flask("echo", static_folder=None)
    routes = Upgrader(owner, origins=("*",))
    routes.init_app(app)
    routes.route("/")(lambda _conn: None)
    return app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="WebSocket echo over the node's connection class")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-message-bytes", type=int, default=16 * 1_048_576)
    parser.add_argument("--goodbye-s", type=float, default=5.0, help="how long who does not hang up is waited for")
    options = parser.parse_args()
    app = create_app(Echo(options.max_message_bytes, options.goodbye_s))
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, stop.set)
    server = WSGIServer(("127.0.0.1", options.port), app, handler_class=Handler, log=None)
    server.start()
    print(f"listening on ws://127.0.0.1:{options.port}/", flush=True)
    stop.wait()
    server.stop(timeout=1)


if __name__ == "__main__":
    main()
