"""One WebSocket session: hello, send, receive, acknowledge.

A reader thread turns frames into events for the owner's callback. The client keeps its cursors as
the protocol asks: it advances over contiguous seqs only, and acknowledges at most once a second.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import websocket

DELIVERED_EVERY_S = 1.0
CONNECT_TIMEOUT_S = 10.0
GOODBYE_S = 2.0

Event = dict[str, Any]


class ConnectionFailed(Exception):
    """The session could not be established; the reason is in the text."""


class Socket:
    """A live session. Callbacks run in the reader thread."""

    def __init__(
        self,
        ws_url: str,
        access_token: str,
        on_event: Callable[[Event], None],
        cursors: dict[int, int] | None = None,
        epoch: str | None = None,
    ) -> None:
        """Connect, say hello and wait for `welcome`; raises ConnectionFailed."""
        self._on_event = on_event
        self.cursors = dict(cursors or {})
        self.close_code: int | None = None
        self._unreported = threading.Event()
        self._send_lock = threading.Lock()
        hello = {"type": "hello", "token": access_token, "cursors": self.cursors} | ({"epoch": epoch} if epoch else {})
        try:
            self._ws = websocket.create_connection(ws_url, timeout=CONNECT_TIMEOUT_S)
            self._ws.send(json.dumps(hello))
            self.welcome = self._expect_welcome()
            self._ws.settimeout(None)
        except (OSError, websocket.WebSocketException, ValueError) as error:
            raise ConnectionFailed(f"{type(error).__name__}: {error}") from error
        self.closed = threading.Event()
        threading.Thread(target=self._read, name="messenger reader", daemon=True).start()
        threading.Thread(target=self._report, name="messenger delivered", daemon=True).start()

    def send_message(self, conv: int, body: str, message_id: str | None = None) -> str:
        """Send a message and return its client id; raises OSError when the connection is gone."""
        message_id = message_id or str(uuid.uuid4())
        self.command({"type": "send", "id": message_id, "conv": conv, "body": body})
        return message_id

    def command(self, command: Event) -> None:
        """Send any command; raises OSError when the connection is gone."""
        try:
            with self._send_lock:
                self._ws.send(json.dumps(command))
        except websocket.WebSocketException as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Say goodbye and wait for the reader to see the answer.

        Not the library's `close`: it reads frames itself while it waits, and would take them from the reader.
        """
        self._tell_delivered()
        with suppress(OSError, websocket.WebSocketException), self._send_lock:
            self._ws.send_close()
        if not self.closed.wait(timeout=GOODBYE_S):
            self._hang_up()
            self.closed.wait(timeout=GOODBYE_S)

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._ws.shutdown()  # type: ignore[no-untyped-call]

    def _expect_welcome(self) -> Event:
        event: Event = json.loads(self._ws.recv())
        if event.get("type") != "welcome":
            raise ConnectionFailed(f"{event.get('code')}: {event.get('detail')}")
        return event

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self._ws.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
                    return
                event = json.loads(data)
                self._apply(event)
                self._on_event(event)
        except (OSError, websocket.WebSocketException):
            self.close_code = self.close_code or 1006
        finally:
            self._hang_up()
            self.closed.set()

    def _apply(self, event: Event) -> None:
        """Advance the cursor over the next row of a log; a repeated row changes nothing."""
        if event["type"] == "resync":
            self.cursors.clear()
        elif event["type"] == "member" and event["event"] == "joined" and event["user"] == self.welcome["user"]:
            # What lies between leaving and coming back is not for this device.
            self.cursors[event["conv"]] = max(event["seq"], self.cursors.get(event["conv"], 0))
            self._unreported.set()
        elif "seq" in event and event["type"] in ("message", "member"):
            conv, seq = event["conv"], event["seq"]
            if seq == self.cursors.get(conv, seq - 1) + 1:
                self.cursors[conv] = seq
                self._unreported.set()

    def _report(self) -> None:
        while not self.closed.is_set():
            self._unreported.wait(timeout=DELIVERED_EVERY_S)
            time.sleep(DELIVERED_EVERY_S)
            self._tell_delivered()

    def _tell_delivered(self) -> None:
        if self._unreported.is_set():
            self._unreported.clear()
            try:
                self.command({"type": "delivered", "cursors": self.cursors})
            except OSError:
                self._unreported.set()
