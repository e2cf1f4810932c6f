"""From an HTTP request to a WebSocket connection of ours, whoever owns it.

The route is flask-sock's; what it would have built on (simple_websocket: two greenlets, a duplicated
descriptor and always-on compression for each connection) is replaced. The handshake is answered
on the request's socket, the descriptor is then detached from gevent's socket and from pywsgi's
handler, and the request's greenlet ends.

Flask takes half the time of a handshake, which counts when a hundred thousand devices come back at once. So
a WSGI layer in front of it answers those that are right; all others go through the route, which says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

import gevent
from flask import Flask, Response, request
from flask_sock import Sock
from gevent.pywsgi import WSGIHandler

from app.errors import AppError
from app.protocol import handshake
from app.realtime.connection import Owner, adopt

IDLE_S = 75.0
"""Longer than a proxy keeps its idle connections (nginx: 60 s), so that it is never the server who hangs up first."""
HEADERS_S = 5.0
HANDLER_KEY = "messenger.handler"

Begin = Callable[..., None]
"""Gets a new connection, and what `Upgrader.admit` returned for its request."""


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
        self._begins: dict[str, Begin] = {}

    def init_app(self, app: Flask) -> None:
        """flask-sock's, and our layer before the application."""
        super().init_app(app)
        behind = app.wsgi_app

        def in_front(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            begin = self._begins.get(environ["PATH_INFO"])
            if begin is not None:
                with suppress(handshake.HandshakeError, AppError):  # then the route tells the client
                    self._hand_over(environ, begin)
                    return []
            return behind(environ, start_response)

        app.wsgi_app = in_front  # type: ignore[method-assign]  # Flask's own way to put a layer before it

    def route(self, path: str, bp: Any = None, **options: Any) -> Callable[[Begin], None]:
        """flask-sock's decorator: the function gets each new connection, and what `admit` made of its request.

        Unlike flask-sock's it must return at once; the connection lives on without it.
        """

        def decorator(begin: Begin) -> None:
            def websocket_route() -> Response:
                return self.upgrade(begin)

            self._begins[path] = begin
            # Twice: Werkzeug refuses without a word what it and the rule do not both take for a WebSocket.
            for websocket in (True, False):
                endpoint = f"websocket {path} {websocket}"
                (bp or self.app).add_url_rule(path, endpoint, websocket_route, websocket=websocket, **options)

        return decorator

    def admit(self, environ: Mapping[str, Any]) -> tuple[Any, ...]:  # noqa: ARG002  for those with rules
        """What `begin` gets after the connection; raises AppError when there is a rule against this request."""
        return ()

    def upgrade(self, begin: Begin) -> Response:
        """Answer the handshake of the current request; `begin` gets the connection when there is one."""
        try:
            self._hand_over(request.environ, begin)
        except handshake.HandshakeError as error:
            headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if error.status == 426 else {}
            return Response(str(error), error.status, headers, mimetype="text/plain")
        return _HandedOver(status=101)

    def _hand_over(self, environ: Mapping[str, Any], begin: Begin) -> None:
        more = self.admit(environ)
        answer = handshake.accept(environ, self._origins)
        handler: Handler = environ[HANDLER_KEY]
        fd, early = handler.hand_over(answer)
        conn = adopt(fd, self._owner)
        begin(conn, *more)
        if early:
            conn.take(early)
