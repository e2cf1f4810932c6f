"""Who may connect to this node: nobody while it drains or is full, and nobody with a bad token in the URL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

from flask import Response

from app.errors import AppError, Unauthenticated, Unavailable
from app.metrics import Metrics
from app.realtime.faults import Faults
from app.realtime.session import Gatekeeper
from app.realtime.upgrade import Begin, Upgrader
from app.services.tokens import Tokens, WsToken


class Gateway(Upgrader):
    """The upgrade with the messenger's rules; `begin` gets the connection and the token of its URL, or None."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        tokens: Tokens,
        metrics: Metrics,
        faults: Faults,
        origins: Collection[str],
        max_connections: int,
    ) -> None:
        super().__init__(gatekeeper, origins)
        self._gatekeeper = gatekeeper
        self._tokens = tokens
        self._faults = faults
        self._max_connections = max_connections
        self._refused = metrics.counter("messenger_ws_connects_total", "refused")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        self.draining = False

    def admit(self, environ: Mapping[str, Any]) -> tuple[WsToken | None]:
        """The token of the URL, or None. Raises Unavailable and the token's errors."""
        full = len(self._gatekeeper.connections) >= self._max_connections
        if self.draining or full or self._faults.refuse_connects:
            raise Unavailable("this node takes no more connections; try another")
        query = environ.get("QUERY_STRING", "")
        token = parse_qs(query).get("token") if query else None
        return (self._tokens.check_ws(token[0]) if token else None,)

    def upgrade(self, begin: Begin) -> Response:
        """The handshake, unless a rule is against it; what is refused is counted."""
        try:
            response = super().upgrade(begin)
        except Unauthenticated:
            self._unauthenticated.add()
            raise
        except AppError:
            self._refused.add()
            raise
        if response.status_code != 101:
            self._refused.add()
        return response
