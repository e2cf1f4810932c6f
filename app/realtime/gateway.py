"""From an HTTP request to a WebSocket connection of ours.

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

from app.errors import AppError, Unavailable
from app.metrics import Metrics
from app.protocol import handshake
from app.realtime.connection import Connection, adopt
from app.realtime.session import Gatekeeper
from app.services.tokens import Tokens, WsToken

IDLE_S = 75.0
"""Longer than a proxy keeps its idle connections (nginx: 60 s), so that it is never the server who hangs up first."""
HEADERS_S = 5.0
HANDLER_KEY = "messenger.handler"


class Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """pywsgi's handler, which a WebSocket route may ask for its descriptor."""

    socket: Any

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

    def hand_over(self, response: bytes) -> int:
        """Send `response` and give up the connection; returns its descriptor, now the caller's.

        Detached, not duplicated: closing the original of a duplicate leaves a dead entry in epoll.
        pywsgi must find neither a socket to read from ("to prevent a reset") nor one to close;
        `rfile` stays, it is closed with the handler and holds no descriptor any more.
        """
        self.socket.sendall(response)
        fd: int = self.socket.detach()
        self.socket = None
        self.close_connection = True
        return fd

    def log_request(self) -> None:
        """Nothing: requests are logged by the application, without their query."""


class _HandedOver(Response):
    """A response that writes nothing: the connection is not HTTP's any more."""

    def __call__(self, *_args: Any, **_kwargs: Any) -> list[bytes]:
        return []


class Gateway(Sock):  # type: ignore[misc]  # flask-sock has no types
    """flask-sock whose connections are ours."""

    def __init__(
        self, gatekeeper: Gatekeeper, tokens: Tokens, metrics: Metrics, origins: Collection[str], max_connections: int
    ) -> None:
        super().__init__()
        self._gatekeeper = gatekeeper
        self._tokens = tokens
        self._origins = origins
        self._max_connections = max_connections
        self._refused = metrics.counter("messenger_ws_connects_total", "refused")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        self.draining = False

    def route(self, path: str, bp: Any = None, **options: Any) -> Callable[[Callable[..., None]], None]:
        """flask-sock's decorator: the function gets each new connection, and the token of its URL if it had one.

        Unlike flask-sock's it must return at once; the connection lives on without it.
        """

        def decorator(begin: Callable[[Connection, WsToken | None], None]) -> None:
            def websocket_route() -> Response:
                return self._upgrade(begin)

            (bp or self.app).add_url_rule(path, f"websocket {path}", websocket_route, websocket=True, **options)

        return decorator

    def _upgrade(self, begin: Callable[[Connection, WsToken | None], None]) -> Response:
        try:
            if self.draining or len(self._gatekeeper.connections) >= self._max_connections:
                raise Unavailable("this node takes no more connections; try another")
            ws_token = self._query_token()
            answer = handshake.accept(request.environ, self._origins)
        except AppError:
            self._refused.add()
            raise
        except handshake.HandshakeError as error:
            self._refused.add()
            headers = {"Sec-WebSocket-Version": "13"} if error.status == 426 else {}
            return Response(str(error), error.status, headers, mimetype="text/plain")
        handler: Handler = request.environ[HANDLER_KEY]
        begin(adopt(handler.hand_over(answer), self._gatekeeper), ws_token)
        return _HandedOver(status=101)

    def _query_token(self) -> WsToken | None:
        token = request.args.get("token")
        if token is None:
            return None
        try:
            return self._tokens.check_ws(token)
        except AppError:
            self._unauthenticated.add()
            raise
