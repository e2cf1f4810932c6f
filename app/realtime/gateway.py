"""Who may connect to this node: nobody while it drains or is full, and nobody with a bad token in the URL."""

from __future__ import annotations

from collections.abc import Callable, Collection

from flask import Response, request

from app.errors import AppError, Unavailable
from app.metrics import Metrics
from app.realtime.session import Gatekeeper
from app.realtime.upgrade import Upgrader
from app.services.tokens import Tokens, WsToken


class Gateway(Upgrader):
    """The upgrade with the messenger's rules; `begin` gets the connection and the token of its URL, or None."""

    def __init__(
        self, gatekeeper: Gatekeeper, tokens: Tokens, metrics: Metrics, origins: Collection[str], max_connections: int
    ) -> None:
        super().__init__(gatekeeper, origins)
        self._gatekeeper = gatekeeper
        self._tokens = tokens
        self._max_connections = max_connections
        self._refused = metrics.counter("messenger_ws_connects_total", "refused")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        self.draining = False

    def upgrade(self, begin: Callable[..., None]) -> Response:
        """The handshake, unless a rule is against it. Raises Unavailable and the token's errors."""
        try:
            if self.draining or len(self._gatekeeper.connections) >= self._max_connections:
                raise Unavailable("this node takes no more connections; try another")
            ws_token = self._query_token()
        except AppError:
            self._refused.add()
            raise
        response = super().upgrade(lambda conn: begin(conn, ws_token))
        if response.status_code != 101:
            self._refused.add()
        return response

    def _query_token(self) -> WsToken | None:
        token = request.args.get("token")
        if token is None:
            return None
        try:
            return self._tokens.check_ws(token)
        except AppError:
            self._unauthenticated.add()
            raise
