"""Traffic as steady as the mathematics of burn rates assumes: open loop, and nothing that fails is repeated at once.

`Talk` is two people: one sends and reads, and has a second device.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from monitoring.client.api import Api
from monitoring.client.events import Event
from monitoring.client.socket import Socket


class _Beat:
    """Calls `act` every `every_s` seconds in a thread; a beat that is late does not delay those after it."""

    def __init__(self, every_s: float, act: Callable[[int], None]) -> None:
        self._every_s = every_s
        self._act = act
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        began, n = time.monotonic(), 0
        while not self._stop.wait(max(0.0, began + n * self._every_s - time.monotonic())):
            self._act(n)
            n += 1


class Talk:
    """One sends to another, and marks as read what was acknowledged; a second device of the sender hears both."""

    sends_per_s = 20.0
    reads_per_s = 4.0

    def __init__(self, api: Api) -> None:
        password = secrets.token_urlsafe(12)
        sender = api.register(f"steady-{secrets.token_hex(4)}", password)
        receiver = api.register(f"steady-{secrets.token_hex(4)}", password)
        self._conv = api.create_conversation(sender, [receiver.name])
        self._seq = 0
        accounts = (sender, receiver, api.login(sender.name, password))
        self._sockets = [Socket(api.ws_url, account.access_token, self._heard) for account in accounts]
        self._beat = _Beat(1 / self.sends_per_s, self._speak)

    def __enter__(self) -> Talk:
        self._beat.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._beat.stop()
        for socket in self._sockets:
            socket.close()

    def _heard(self, event: Event) -> None:
        if event["type"] == "ack":
            self._seq = max(self._seq, event["seq"])

    def _speak(self, n: int) -> None:
        with suppress(OSError):
            self._sockets[0].send_message(self._conv, f"steady {n}")
            if self._seq and n % (self.sends_per_s / self.reads_per_s) == 0:
                self._sockets[0].command({"type": "read", "conv": self._conv, "seq": self._seq})
