"""What somebody meets who opens the messenger: a fresh connection each time, and how long each step of it takes.

A token over HTTP, name, TCP, TLS, the WebSocket handshake, `welcome`; then it hangs up. Connects are counted here and
not in the messenger, which knows nothing of those who do not reach it. The person it connects as is in no
conversation, so nothing but the way in is measured.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import websocket

from monitoring.probes.failures import Deadline, Refused
from monitoring.probes.members import Member

PHASES = ("auth", "dns", "tcp", "tls", "upgrade", "welcome")
CERTIFICATE_TIMEOUT_S = 5.0


class Connect:
    """Connects afresh with each run."""

    def __init__(self, member: Member, took: Callable[[str, float], None]) -> None:
        """`took(phase, seconds)` is told of each step that was made."""
        self._member, self._took = member, took
        parts = urlsplit(member.api.base_url)
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._context = ssl.create_default_context()

    def run(self, deadline: Deadline) -> float:
        """Seconds to the welcome."""
        began = time.monotonic()
        with self._phase("auth"):
            token = self._member.api.ws_token(self._member.device())
        with self._phase("dns"):
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            host = str(found[0][4][0])
        with self._phase("tcp"):
            plain = socket.create_connection((host, self._port), deadline.left_s())
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with closing(self._encrypted(plain, deadline)) as stream:
            stream.settimeout(deadline.left_s())
            with self._phase("upgrade"):
                ws = websocket.create_connection(f"{self._member.api.ws_url}?token={token}", socket=stream)
            with self._phase("welcome"):
                ws.settimeout(deadline.left_s())
                said = ws.recv()
            if not said:
                raise websocket.WebSocketConnectionClosedException("an end before `welcome`")
            event = json.loads(said)
            if event.get("type") != "welcome":
                raise Refused(f"{event.get('code')}: {event.get('detail')}")
            with suppress(OSError, websocket.WebSocketException):
                ws.send_close()
        deadline.left_s()
        return time.monotonic() - began

    def _encrypted(self, plain: socket.socket, deadline: Deadline) -> socket.socket:
        if not self._tls:
            return plain
        try:
            with self._phase("tls"):
                plain.settimeout(deadline.left_s())
                return self._context.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._took(name, time.monotonic() - began)


class Certificate:
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
            socket.create_connection((self._host, self._port), CERTIFICATE_TIMEOUT_S) as plain,
            self._context.wrap_socket(plain, server_hostname=self._host) as conn,
        ):
            certificate = conn.getpeercert() or {}
            self._told(float(ssl.cert_time_to_seconds(str(certificate["notAfter"]))))
