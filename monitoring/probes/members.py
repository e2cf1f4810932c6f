"""The people of the probes: signed in when needed, heard through a socket that is waited on with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.events import Event
from monitoring.client.session import Session
from monitoring.client.socket import Socket
from monitoring.probes.failures import Deadline, Wrong

TITLE = "probe"
FRESH_S = 300.0
"""How old an access token may get here; it lasts longer than that."""
HEARD = 1_000
"""Events that wait to be looked at; a probe hears a handful."""


class Member:
    """Somebody of the prober's own: one person, with as many devices as the probes need, each known by a name."""

    def __init__(self, api: Api, name: str, password: str) -> None:
        self.api, self.name, self._password = api, name, password
        self._devices: dict[str, tuple[Account, float]] = {}
        self._lock = threading.Lock()

    def device(self, name: str = "probe") -> Account:
        """A device that is signed in, with a token that is fresh. Raises ApiError."""
        with self._lock:
            account, since = self._devices.get(name) or (None, 0.0)
            if account is None:
                account, since = self._sign_in(name), time.monotonic()
            elif time.monotonic() - since > FRESH_S:
                account, since = self._refreshed(account, name), time.monotonic()
            self._devices[name] = (account, since)
            return account

    def new_device(self, name: str) -> Account:
        """One that the caller signs out again. Raises ApiError."""
        self.device()  # whoever was never here registers first
        return self.api.login(self.name, self._password, device_name=name)

    def forget(self) -> None:
        """Sign in anew the next time: something here did not work."""
        with self._lock:
            self._devices.clear()

    def conversation(self, other: Member) -> int:
        """The one with `other`, made on first use. Raises ApiError."""
        mine = self.device()
        known = [row["id"] for row in self.api.conversations(mine) if row["title"] == TITLE]
        other.device()
        return int(known[0]) if known else self.api.create_conversation(mine, [other.name], TITLE)

    def _sign_in(self, name: str) -> Account:
        try:
            account = self.api.login(self.name, self._password, device_name=name)
        except ApiError as error:
            if error.status != 401:
                raise
            try:
                return self.api.register(self.name, self._password, device_name=name)
            except ApiError as taken:
                raise error if taken.status == 409 else taken from None
        if not self._devices:
            leave_alone(self.api, account)
        return account

    def _refreshed(self, account: Account, name: str) -> Account:
        try:
            self.api.refresh(account)
        except ApiError as error:
            if error.status not in (401, 403):
                raise
            return self._sign_in(name)
        return account


def leave_alone(api: Api, account: Account) -> None:
    """Revoke the person's other devices: what earlier runs of a prober left would grow without end. Raises ApiError."""
    for one in api.devices(account):
        if not one["current"]:
            api.revoke(account, one["id"])


class Ear:
    """A connected device whose events are waited for."""

    def __init__(self, api: Api, account: Account, session: Session | None = None) -> None:
        """Connect. Raises ConnectionFailed, and ApiError where it must learn first from where to go on."""
        self._events: queue.Queue[Event] = queue.Queue(HEARD)
        self.session = session or Session(api.heads(account))
        self.socket = Socket(api.ws_url, account.access_token, self._heard, self.session)

    def say(self, command: Event) -> None:
        """Raises OSError when the connection is gone."""
        self.socket.command(command)

    def wait(self, deadline: Deadline, is_it: Callable[[Event], bool]) -> Event:
        """The first event that is the one; others are passed over. Raises TimeoutError, or Wrong on a refusal."""
        while True:
            try:
                event = self._events.get(timeout=deadline.left_s())
            except queue.Empty:
                raise TimeoutError from None
            if is_it(event):
                return event
            if event["type"] == "error":
                raise Wrong(f"{event['code']}: {event['detail']}")

    def send(self, deadline: Deadline, conv: int, body: str) -> Event:
        """Send a message; its ack. Raises OSError, TimeoutError or Wrong."""
        message_id = self.socket.send_message(conv, body)
        return self.wait(deadline, lambda event: event["type"] == "ack" and event["id"] == message_id)

    def _heard(self, event: Event) -> None:
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)


@contextmanager
def listening(api: Api, account: Account, session: Session | None = None) -> Iterator[Ear]:
    """An ear as long as the block lasts. Raises ConnectionFailed."""
    ear = Ear(api, account, session)
    try:
        yield ear
    finally:
        ear.socket.close()


def same(**fields: Any) -> Callable[[Event], bool]:
    """Whether an event has these.

    >>> same(type="read", seq=3)({"type": "read", "conv": 1, "seq": 3})
    True
    """
    return lambda event: all(event.get(key) == value for key, value in fields.items())
