"""The session of one device: what to say, what to believe, when to come back.

Without socket, clock or dice: all of those are told, and every answer is a list of effects. The browser's client has
the same machine (app/web/src/session.ts), and tests/transcripts holds both to the same words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from monitoring.client.events import Event, is_item

BACKOFF_FIRST_MS = 500
BACKOFF_MAX_MS = 30_000
DEFAULT_BEAT_MS = 30_000
MAX_CURSORS = 500
"""A command's limit."""

Effect = dict[str, Any]
"""One of `open`, `send` a command, `deliver` an event to the owner, `wait_ms` and connect again, `refresh` the token
and connect again, `hang_up`, `erase` everything this device holds."""


class State(StrEnum):
    """Where a session is."""

    IDLE = "idle"
    CONNECTING = "connecting"
    HELLO = "hello"
    SYNCING = "syncing"
    LIVE = "live"
    BACKOFF = "backoff"
    DRAINED = "drained"
    EXPIRED = "expired"
    DISPLACED = "displaced"
    REVOKED = "revoked"


class Session:
    """One device over all its connections. `cursors` and `inbox` are what is stored here, and what is acknowledged."""

    def __init__(
        self,
        cursors: Mapping[int, int] | None = None,
        epoch: str | None = None,
        since: str | None = None,
        inbox: int = 0,
    ) -> None:
        self.state = State.IDLE
        self.user = 0
        self.epoch = epoch
        self.since = since
        self.cursors = dict(cursors or {})
        self.inbox = inbox
        self._heard = dict(self.cursors)
        self._heard_inbox = inbox
        self._token = ""
        self._attempt = 0
        self._refreshed = False  # since the last welcome: when a fresh token is refused, too, it is not the token
        self._unreported = False
        self._holes: set[int] = set()
        self._more: list[Event] = []  # cursors that had no room in `hello`
        self._retry_after_ms: int | None = None
        self._beat_ms = DEFAULT_BEAT_MS
        self._heard_at_ms = 0.0
        self._asked_at_ms: float | None = None

    def connect(self, token: str) -> list[Effect]:
        """Try to connect with this token."""
        if self.state is State.REVOKED:
            return []
        self._token = token
        self.state = State.CONNECTING
        self._retry_after_ms = None
        return [{"open": True}]

    def opened(self, now_ms: float) -> list[Effect]:
        """The socket is open: say who this is. What was heard and not stored will be sent again."""
        self.state = State.HELLO
        self._heard_at_ms, self._asked_at_ms = now_ms, None
        self._heard, self._heard_inbox = dict(self.cursors), self.inbox
        self._holes.clear()
        first, *rest = _chunks(self.cursors) or [{}]
        hello: Event = {"type": "hello", "token": self._token, "cursors": first}
        hello |= {"epoch": self.epoch} if self.epoch else {}
        hello |= {"since": self.since} if self.since else {}
        hello |= {"to_device": self.inbox} if self.inbox else {}
        self._more = [{"type": "sync", "cursors": cursors} for cursors in rest]
        return [{"send": hello}]

    def heard(self, event: Event, now_ms: float) -> list[Effect]:
        """One event from the server. What was heard before is not delivered again."""
        self._heard_at_ms, self._asked_at_ms = now_ms, None
        kind = event["type"]
        if is_item(event):
            if event["seq"] <= self._heard_inbox:
                return []
            self._heard_inbox = event["seq"]
        elif kind in ("message", "member"):
            return self._row(event)
        elif kind == "welcome":
            self.user, self.epoch = event["user"], event["epoch"]
            self._beat_ms = event["beat_s"] * 1000
            self._refreshed = False
            self.state = State.SYNCING
            more, self._more = self._more, []
            return [{"deliver": event}, *({"send": command} for command in more)]
        elif kind == "resync":
            self.epoch, self.since = event["epoch"], None
            self.inbox = self._heard_inbox = 0
            self.cursors.clear()
            self._heard.clear()
        elif kind == "synced":
            return self._synced(event)
        elif kind == "drain":
            self._retry_after_ms = event["retry_after_ms"]
            self.state = State.DRAINED
        return [{"deliver": event}]

    def _row(self, event: Event) -> list[Effect]:
        """A row of a log: the next one is delivered, what lies before it dropped, and what is missing asked for."""
        conv, seq = event["conv"], event["seq"]
        before = self._heard.get(conv)
        # What lies between leaving and coming back is not for this device.
        came_back = event["type"] == "member" and event["event"] == "joined" and event["user"] == self.user
        if before is not None and seq <= before:
            return []
        if before is not None and seq > before + 1 and not came_back:
            if conv in self._holes:
                return []
            self._holes.add(conv)
            return [{"send": {"type": "sync", "cursors": {str(conv): before}}}]
        self._heard[conv] = seq
        return [{"deliver": event}]

    def _synced(self, event: Event) -> list[Effect]:
        self.since = event.get("position", self.since)
        self._attempt = 0
        self._holes.clear()
        first = self.state is State.SYNCING
        self.state = State.LIVE
        return [{"deliver": event}] if first else []

    def stored(self, conv: int | None, seq: int) -> None:
        """A row, or an item of the inbox when `conv` is None, is kept here."""
        if conv is None:
            self.inbox = max(self.inbox, seq)
        else:
            self.cursors[conv] = max(self.cursors.get(conv, 0), seq)
        self._unreported = True

    def report(self) -> list[Effect]:
        """Acknowledge what was stored since the last time; worth calling once a second."""
        if not self._unreported or self.state not in (State.LIVE, State.SYNCING):
            return []
        self._unreported = False
        first, *rest = _chunks(self.cursors) or [{}]
        delivered: Event = {"type": "delivered", "cursors": first} | ({"to_device": self.inbox} if self.inbox else {})
        return [{"send": delivered}, *({"send": {"type": "delivered", "cursors": part}} for part in rest)]

    def tick(self, now_ms: float) -> list[Effect]:
        """Time passes: ask a server that was silent for a beat, and hang up when that is not answered for another.

        Where time is told rarely (browsers slow the timers of hidden tabs), silence alone proves nothing.
        """
        silent_ms = now_ms - self._heard_at_ms
        if self.state in (State.HELLO, State.DRAINED):
            return [{"hang_up": True}] if silent_ms >= self._beat_ms else []
        if self.state not in (State.LIVE, State.SYNCING):
            return []
        if self._asked_at_ms is not None:
            return [{"hang_up": True}] if now_ms - self._asked_at_ms >= self._beat_ms else []
        if silent_ms >= self._beat_ms:
            self._asked_at_ms = now_ms
            return [{"send": {"type": "sync", "cursors": {}}}]
        return []

    def closed(self, code: int, random: float) -> list[Effect]:
        """The connection ended, or could not be opened (1006). `random` is in [0, 1): full jitter."""
        if self.state in (State.REVOKED, State.IDLE):
            return []
        if code == 4401:
            self.state = State.REVOKED
            return [{"erase": True}]
        if code == 4409:
            self.state = State.DISPLACED
            return []
        if (code == 4402 or (code == 1008 and self.state is State.HELLO)) and not self._refreshed:
            self._refreshed = True
            self.state = State.EXPIRED
            return [{"refresh": True}]
        if self.state is State.DRAINED and self._retry_after_ms is not None:
            return [{"wait_ms": self._retry_after_ms}]
        most_ms = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2**self._attempt)
        self._attempt += 1
        self.state = State.BACKOFF
        return [{"wait_ms": int(most_ms * random + 0.5)}]

    def stop(self) -> list[Effect]:
        """Connect no more until somebody asks again."""
        if self.state is not State.REVOKED:
            self.state = State.IDLE
        return [{"hang_up": True}]


def _chunks(cursors: Mapping[int, int]) -> Sequence[dict[str, int]]:
    rows = [(str(conv), seq) for conv, seq in cursors.items()]
    return [dict(rows[at : at + MAX_CURSORS]) for at in range(0, len(rows), MAX_CURSORS)]
