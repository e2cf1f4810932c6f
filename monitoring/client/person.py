"""Somebody who stays signed in: logs in, connects, and comes back after every loss of the connection.

Tokens are refreshed as they run out; only when that fails is a new device signed in. Cursors are
kept over reconnects, so nothing that was missed stays missing.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.socket import ConnectionFailed, Event, Socket

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0
DISPLACED = 4409


class Person:
    """A name and a password, kept connected by a thread. Callbacks run in the client's threads."""

    def __init__(self, api: Api, name: str, password: str, on_event: Callable[[Event], None]) -> None:
        self.api = api
        self.name = name
        self._password = password
        self._on_event = on_event
        self._socket: Socket | None = None
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
        backoff_s = BACKOFF_FIRST_S
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._connect_and_wait()
            except (ApiError, ConnectionFailed):
                self._freshen()
            self.connected.clear()
            backoff_s = (
                BACKOFF_FIRST_S if time.monotonic() - began > BACKOFF_MAX_S else min(backoff_s * 2, BACKOFF_MAX_S)
            )
            # Full jitter: after an outage clients must not come back in step.
            self._stopping.wait(random.uniform(0, backoff_s))  # noqa: S311  not a secret

    def _connect_and_wait(self) -> None:
        known = self._socket
        account = self.account()
        # A new device of an old person does not replay what was said before it.
        cursors = known.cursors if known else self.api.heads(account)
        epoch = known.welcome["epoch"] if known else None
        self._socket = Socket(self.api.ws_url, account.access_token, self._on_event, cursors, epoch)
        self.connected.set()
        self._socket.closed.wait()
        if self._socket.close_code == DISPLACED:
            self._stopping.set()
        else:
            self._freshen()

    def _freshen(self) -> None:
        """New tokens for the next attempt; without them, a new sign-in."""
        if self._account is not None:
            try:
                self.api.refresh(self._account)
            except ApiError as error:
                if error.status in (401, 403):
                    self._account = None
