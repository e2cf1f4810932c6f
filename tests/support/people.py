"""People for the tests: registered, connected, and remembering what they heard."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monitoring.client.api import Account, Api
from monitoring.client.session import Session
from monitoring.client.socket import Socket
from tests.support.servers import eventually

_numbers = itertools.count()
PASSWORD = "correct horse battery"


def register(api: Api, name: str = "person") -> Account:
    """A new person with a name of its own."""
    return api.register(f"{name}-{next(_numbers)}", PASSWORD)


class Listener:
    """A connected device and every event it got, in order."""

    def __init__(
        self,
        api: Api,
        account: Account,
        cursors: dict[int, int] | None = None,
        epoch: str | None = None,
        inbox: int = 0,
    ) -> None:
        self.account = account
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        session = Session(cursors, epoch, inbox=inbox)
        self.socket = Socket(api.ws_url, account.access_token, lambda _: None, session, on_frame=self._heard)
        self.next("synced")

    def _heard(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._events.append(event)

    def events(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Everything of this type so far that has these fields."""
        with self._lock:
            return [e for e in self._events if e["type"] == kind and all(e.get(k) == v for k, v in fields.items())]

    def everything(self) -> list[dict[str, Any]]:
        """All events so far, in the order they came."""
        with self._lock:
            return list(self._events)

    def seqs(self, conv: int) -> list[int]:
        """The rows of a conversation's log, as they came."""
        return [e["seq"] for e in self.everything() if e["type"] in ("message", "member") and e["conv"] == conv]

    def next(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first such event, waited for."""
        return eventually(lambda: self.events(kind, **fields))[0]

    def send(self, conv: int, body: str, message_id: str | None = None) -> dict[str, Any]:
        """Send and wait for the ack."""
        return self.next("ack", id=self.socket.send_message(conv, body, message_id))

    def bodies(self, conv: int) -> list[str]:
        """The messages of a conversation, as they came."""
        return [event["body"] for event in self.events("message", conv=conv)]


@contextmanager
def listening(
    api: Api, account: Account, cursors: dict[int, int] | None = None, epoch: str | None = None, *, inbox: int = 0
) -> Iterator[Listener]:
    """A connected device, disconnected at the end."""
    listener = Listener(api, account, cursors, epoch, inbox)
    try:
        yield listener
    finally:
        listener.socket.close()
