"""One WebSocket session: hello, send, receive, acknowledge.

A reader thread turns frames into events for the owner's callback; what to believe and what to answer is decided by
`session`. What the owner has taken is acknowledged at most once a second.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

import websocket

from monitoring.client.events import Event, is_item
from monitoring.client.session import Effect, Session

DELIVERED_EVERY_S = 1.0
CONNECT_TIMEOUT_S = 10.0
GOODBYE_S = 2.0


class ConnectionFailed(Exception):
    """The session could not be established; the reason is in the text."""


class Socket:
    """A live session. Callbacks run in the reader thread."""

    def __init__(
        self,
        ws_url: str,
        access_token: str,
        on_event: Callable[[Event], None],
        session: Session | None = None,
        *,
        on_frame: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Connect, say hello and wait for `welcome`; raises ConnectionFailed.

        `session` is where the device goes on from. `on_event` gets each row and item once, and has kept it when it
        returns; `on_frame` gets everything as it comes.
        """
        self.session = session or Session()
        self._on_event = on_event
        self._on_frame = on_frame
        self.close_code: int | None = None
        self._send_lock = threading.Lock()
        self._session_lock = threading.Lock()
        self.session.connect(access_token)
        try:
            self._ws = websocket.create_connection(ws_url, timeout=CONNECT_TIMEOUT_S)
            self._do(self.session.opened(_now_ms()))
            self.welcome = self._expect_welcome()
            self._ws.settimeout(None)
        except (OSError, websocket.WebSocketException, ValueError) as error:
            raise ConnectionFailed(f"{type(error).__name__}: {error}") from error
        self.closed = threading.Event()
        threading.Thread(target=self._read, name="messenger reader", daemon=True).start()
        threading.Thread(target=self._watch, name="messenger delivered", daemon=True).start()

    @property
    def cursors(self) -> dict[int, int]:
        """The highest seq that was taken, by conversation."""
        return self.session.cursors

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
        self._do(self.session.heard(event, _now_ms()))
        return event

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self._ws.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
                    return
                event = json.loads(data)
                self._on_frame(event)
                with self._session_lock:
                    effects = self.session.heard(event, _now_ms())
                self._do(effects)
        except (OSError, websocket.WebSocketException):
            self.close_code = self.close_code or 1006
        finally:
            self._hang_up()
            self.closed.set()

    def _do(self, effects: list[Effect]) -> None:
        """Raises OSError when the connection is gone."""
        for effect in effects:
            if "send" in effect:
                self.command(effect["send"])
            elif "hang_up" in effect:
                self._hang_up()
            elif "deliver" in effect:
                self._deliver(effect["deliver"])

    def _deliver(self, event: Event) -> None:
        if event["type"] != "welcome":  # it has been waited for
            self._on_event(event)
        if "seq" in event and (is_item(event) or event["type"] in ("message", "member")):
            with self._session_lock:
                self.session.stored(None if is_item(event) else event["conv"], event["seq"])

    def _watch(self) -> None:
        while not self.closed.wait(timeout=DELIVERED_EVERY_S):
            with self._session_lock:
                silence = self.session.tick(_now_ms())
            with suppress(OSError):
                self._do(silence)
            self._tell_delivered()

    def _tell_delivered(self) -> None:
        with self._session_lock:
            effects = self.session.report()
        with suppress(OSError):  # what is not acknowledged comes again
            self._do(effects)


def _now_ms() -> float:
    return time.monotonic() * 1000


def wait_for_link(ws_url: str, claim_token: str, timeout_s: float) -> str:
    """What becomes of a claimed link: `confirmed` or `refused`. Raises ConnectionFailed, also when time is over."""
    deadline = time.monotonic() + timeout_s
    try:
        ws = websocket.create_connection(ws_url, timeout=CONNECT_TIMEOUT_S)
        try:
            ws.send(json.dumps({"type": "link", "token": claim_token}))
            while True:
                ws.settimeout(max(0.1, deadline - time.monotonic()))
                event: Event = json.loads(ws.recv())
                if event["type"] == "error":
                    raise ConnectionFailed(f"{event['code']}: {event['detail']}")
                if event["event"] != "waiting":
                    return str(event["event"])
        finally:
            ws.shutdown()  # type: ignore[no-untyped-call]
    except (OSError, websocket.WebSocketException, ValueError) as error:
        raise ConnectionFailed(f"{type(error).__name__}: {error}") from error
