"""Somebody who stays signed in: logs in, connects, and comes back after every loss of the connection.

Tokens are refreshed as they run out; only when that fails is a new device signed in. Cursors are
kept over reconnects, so nothing that was missed stays missing.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.events import Event
from monitoring.client.session import Session, State
from monitoring.client.socket import ConnectionFailed, Socket

LOST = 1006
"""The code of a connection that nobody closed (RFC 6455, section 7.4.1)."""


class Person:
    """A name and a password, kept connected by a thread. Callbacks run in the client's threads."""

    def __init__(self, api: Api, name: str, password: str, on_event: Callable[[Event], None]) -> None:
        self.api = api
        self.name = name
        self._password = password
        self._on_event = on_event
        self._socket: Socket | None = None
        self._session = Session()
        self._account: Account | None = None
        self._stopping = threading.Event()
        self.connected = threading.Event()

    def start(self) -> None:
        """Connect, and stay so, in the background."""
        threading.Thread(target=self._stay, name=f"person {self.name}", daemon=True).start()

    def stop(self) -> None:
        """Disconnect for good."""
        self._stopping.set()
        if self._socket:
            self._socket.close()

    def account(self) -> Account:
        """Signed in, registering on first use. Raises ApiError."""
        if self._account is None:
            try:
                self._account = self.api.login(self.name, self._password)
            except ApiError as error:
                if error.status != 401:
                    raise
                self._account = self.api.register(self.name, self._password)
        return self._account

    def send(self, conv: int, body: str, message_id: str | None = None) -> str:
        """Send a message, return its client id; raises OSError while not connected."""
        if self._socket is None or not self.connected.is_set():
            raise OSError("not connected")
        return self._socket.send_message(conv, body, message_id)

    def read(self, conv: int, seq: int) -> None:
        """Mark as read; raises OSError while not connected."""
        if self._socket is None or not self.connected.is_set():
            raise OSError("not connected")
        self._socket.command({"type": "read", "conv": conv, "seq": seq})

    def _stay(self) -> None:
        while not self._stopping.is_set():
            try:
                code = self._connect_and_wait()
            except (ApiError, ConnectionFailed):
                self._freshen()
                code = LOST
            self.connected.clear()
            for effect in self._session.closed(code, random.random()):  # noqa: S311  not a secret
                if "wait_ms" in effect:
                    self._stopping.wait(effect["wait_ms"] / 1000)
                elif "refresh" in effect:
                    self._freshen()
            if self._session.state in (State.DISPLACED, State.REVOKED):
                self._stopping.set()

    def _connect_and_wait(self) -> int:
        """The code the connection ended with. Raises ApiError or ConnectionFailed."""
        account = self.account()
        if self._session.epoch is None:
            # A new device of an old person does not replay what was said before it.
            self._session = Session(self.api.heads(account))
        self._socket = Socket(self.api.ws_url, account.access_token, self._on_event, self._session)
        self.connected.set()
        self._socket.closed.wait()
        return self._socket.close_code or LOST

    def _freshen(self) -> None:
        """New tokens for the next attempt; without them, a new sign-in."""
        if self._account is not None:
            try:
                self.api.refresh(self._account)
            except ApiError as error:
                if error.status in (401, 403):
                    self._account = None
