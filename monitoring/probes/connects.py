"""The connect probe: what somebody meets who opens the messenger, a fresh connection each time.

A token over HTTP, the WebSocket handshake, `welcome`; then it hangs up. Connects are counted here and not in the
messenger, which knows nothing of those who do not reach it. The person it connects as is in no conversation, so
nothing but the way in is measured.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from urllib.parse import urlsplit

import requests
import websocket

from monitoring.client.api import Account, Api, ApiError
from monitoring.probes.metrics import ProbeMetrics

DEADLINE_S = 5.0
"""A connect must be through by then, counted from when the schedule wanted it."""
MIN_STEP_S = 0.05


class ConnectProbe:
    """Connects with `run`; runs may overlap."""

    def __init__(
        self, api: Api, name: str, password: str, metrics: ProbeMetrics, deadline_s: float = DEADLINE_S
    ) -> None:
        self._api = Api(api.base_url, deadline_s)
        self._deadline_s = deadline_s
        self._name, self._password = name, password
        self._metrics = metrics
        self._account: Account | None = None

    def run(self, intended: datetime) -> None:
        """Connect once; how that ended is counted, exactly one outcome."""
        try:
            self._connect(intended.timestamp() + self._deadline_s)
        except (ApiError, OSError, websocket.WebSocketException, ValueError) as error:
            self._metrics.connect_failed(reason(error))
        else:
            self._metrics.connected()

    def _connect(self, deadline: float) -> None:
        token = self._token()
        # No room left is a timeout, which the library tells.
        left_s = max(MIN_STEP_S, deadline - time.time())
        conn = websocket.create_connection(f"{self._api.ws_url}?token={token}", timeout=left_s)
        with closing(conn):
            conn.settimeout(max(MIN_STEP_S, deadline - time.time()))
            event = json.loads(conn.recv())
            if event.get("type") != "welcome":
                raise ApiError(0, str(event.get("code")), str(event.get("detail")))
        if time.time() > deadline:
            raise TimeoutError

    def _token(self) -> str:
        account = self._account = self._account or self._sign_in()
        try:
            return self._api.ws_token(account)
        except ApiError as error:
            if error.status != 401:
                raise
        try:
            self._api.refresh(account)  # the access token has run out
        except ApiError as error:
            if error.status in (401, 403):
                self._account = None  # the next run signs in anew
            raise
        return self._api.ws_token(account)

    def _sign_in(self) -> Account:
        try:
            return self._api.login(self._name, self._password)
        except ApiError as error:
            if error.status != 401:
                raise
            return self._api.register(self._name, self._password)


_REASONS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("timeout", (TimeoutError, requests.Timeout, websocket.WebSocketTimeoutException)),
    ("tls", (ssl.SSLError, requests.exceptions.SSLError)),
    ("dns", (socket.gaierror, websocket.WebSocketAddressException)),
    ("upgrade", (websocket.WebSocketBadStatusException,)),
    ("close", (websocket.WebSocketException, ValueError)),
    ("tcp", (OSError,)),
)


def reason(error: BaseException) -> str:
    """Where a connect failed: one of FAILURES. What lies behind an error of the client tells more than it itself.

    >>> reason(ConnectionRefusedError()), reason(TimeoutError()), reason(ApiError(503, "unavailable", ""))
    ('tcp', 'timeout', 'auth')
    """
    if isinstance(error, ApiError):
        return "auth" if error.__cause__ is None else reason(error.__cause__)
    for name, kinds in _REASONS:
        if any(isinstance(cause, kinds) for cause in _causes(error)):
            return name
    return "tcp"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps; requests and urllib3 put the cause among their arguments."""
    yield error
    inner = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
    for cause in dict.fromkeys(one for one in inner if isinstance(one, BaseException)):
        yield from _causes(cause)


class CertificateProbe:
    """When the messenger's certificate ends. Only for an address with TLS."""

    def __init__(self, base_url: str, told: Callable[[float], None], context: ssl.SSLContext | None = None) -> None:
        """`told` gets the end in Unix seconds."""
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._told = told
        self._context = context or ssl.create_default_context()

    def run(self) -> None:
        """Ask once. A certificate that is not accepted tells nothing: the last end stays, and connects fail."""
        with (
            suppress(OSError),
            socket.create_connection((self._host, self._port), DEADLINE_S) as plain,
            self._context.wrap_socket(plain, server_hostname=self._host) as conn,
        ):
            certificate = conn.getpeercert() or {}
            self._told(float(ssl.cert_time_to_seconds(str(certificate["notAfter"]))))
