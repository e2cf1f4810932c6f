"""From an HTTP request to a WebSocket connection of ours, whoever owns it.

The route is flask-sock's; what it would have built on (simple_websocket: two greenlets, a duplicated
descriptor and always-on compression for each connection) is replaced. The handshake is answered
on the request's socket, the descriptor is then detached from gevent's socket and from pywsgi's
handler, and the request's greenlet ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import gevent
from flask import Response, request
from flask_sock import Sock
from gevent.pywsgi import WSGIHandler

from app.protocol import handshake
from app.realtime.connection import Owner, adopt

IDLE_S = 75.0
"""Longer than a proxy keeps its idle connections (nginx: 60 s), so that it is never the server who hangs up first."""
HEADERS_S = 5.0
HANDLER_KEY = "messenger.handler"


class Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """pywsgi's handler, which a WebSocket route may ask for its descriptor."""

    socket: Any
    rfile: Any

    def read_requestline(self) -> str | None:
        """pywsgi's, with a deadline: a connection that asks nothing is closed."""
        line: str | None = None
        with gevent.Timeout(IDLE_S, False):
            line = super().read_requestline()
        return line  # noqa: RET504  None after a timeout

    def read_request(self, raw_requestline: str) -> bool | None:
        """pywsgi's, with a deadline for the headers."""
        good: bool | None = None
        with gevent.Timeout(HEADERS_S, False):
            good = super().read_request(raw_requestline)
        return good  # noqa: RET504  None after a timeout

    def get_environ(self) -> dict[str, Any]:
        """The WSGI environ, with a way to this handler."""
        environ: dict[str, Any] = super().get_environ()
        environ[HANDLER_KEY] = self
        return environ

    def hand_over(self, response: bytes) -> tuple[int, bytes]:
        """Send `response` and give up the connection: its descriptor, now the caller's, and what was read ahead.

        Detached, not duplicated: closing the original of a duplicate leaves a dead entry in epoll.
        pywsgi must find neither a socket to read from ("to prevent a reset") nor one to close;
        `rfile` stays, it is closed with the handler and holds no descriptor any more.
        """
        self.socket.sendall(response)
        early = self._read_ahead()
        fd: int = self.socket.detach()
        self.socket = None
        self.close_connection = True
        return fd, early

    def _read_ahead(self) -> bytes:
        """What the client sent right behind its request, without waiting for our answer: it stands in our buffer."""
        self.socket.setblocking(False)
        try:
            early: bytes = self.rfile.peek()
        except OSError:  # the connection is gone, as its next user will see
            early = b""
        return early

    def log_request(self) -> None:
        """Nothing: requests are logged by the application, without their query."""


class _HandedOver(Response):
    """A response that writes nothing: the connection is not HTTP's any more."""

    def __call__(self, *_args: Any, **_kwargs: Any) -> list[bytes]:
        return []


class Upgrader(Sock):  # type: ignore[misc]  # flask-sock has no types
    """flask-sock whose connections are ours, and belong to `owner`."""

    def __init__(self, owner: Owner, origins: Collection[str]) -> None:
        super().__init__()
        self._owner = owner
        self._origins = origins

    def route(self, path: str, bp: Any = None, **options: Any) -> Callable[[Callable[..., None]], None]:
        """flask-sock's decorator: the function gets each new connection.

        Unlike flask-sock's it must return at once; the connection lives on without it.
        """

        def decorator(begin: Callable[..., None]) -> None:
            def websocket_route() -> Response:
                return self.upgrade(begin)

            # Twice: Werkzeug refuses without a word what it and the rule do not both take for a WebSocket.
            for websocket in (True, False):
                endpoint = f"websocket {path} {websocket}"
                (bp or self.app).add_url_rule(path, endpoint, websocket_route, websocket=websocket, **options)

        return decorator

    def upgrade(self, begin: Callable[..., None]) -> Response:
        """Answer the handshake of the current request; `begin` gets the connection when there is one."""
        try:
            answer = handshake.accept(request.environ, self._origins)
        except handshake.HandshakeError as error:
            headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if error.status == 426 else {}
            return Response(str(error), error.status, headers, mimetype="text/plain")
        handler: Handler = request.environ[HANDLER_KEY]
        fd, early = handler.hand_over(answer)
        conn = adopt(fd, self._owner)
        begin(conn)
        if early:
            conn.take(early)
        return _HandedOver(status=101)
