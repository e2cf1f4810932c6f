"""Calls: each step is decided under a lock, stored, and put into the inboxes of the devices that must hear it.

Through inboxes a ring reaches a device on any node in order and once, also one that connects while it rings, and also
while the bus is away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from app.domain import calls as rules
from app.domain.calls import Call, Decision, Post, Verb
from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.inbox import Kind, Posted
from app.errors import Conflict, InvalidRequest, NotFound, TooMany
from app.metrics import Metrics
from app.services.inbox import Told
from app.store import calls, inbox
from app.store.db import Connection, Database

MAX_RINGING = 4
"""Calls of one person that may ring at once in one conversation."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a device says about a call; `ts` is when the server received it, in Unix seconds. `payload` is opaque."""

    conv: ConversationId
    call: str
    user: UserId
    device: DeviceId
    verb: Verb
    payload: str
    version: str
    ts: float
    callee: UserId | None = None
    lifetime_ms: int = 0
    selected: DeviceId | None = None
    reason: str | None = None


class Content(msgspec.Struct, omit_defaults=True):
    """What an inbox keeps of it: everything that is told but its age."""

    conv: ConversationId
    call: str
    version: str
    lifetime_ms: int = 0
    payload: str = ""
    selected: DeviceId | None = None
    reason: str | None = None


class Calls:
    """Deciding what was said."""

    def __init__(self, db: Database, told: Told, metrics: Metrics) -> None:
        self._db = db
        self._told = told
        self._events = {
            name: metrics.counter("messenger_calls_total", name)
            for name in ("invited", "connected", "rejected", "cancelled", "hung_up", "glare")
        }

    def say(self, said: Said) -> int:
        """Decide, store and tell; how many devices are told. Raises AppError."""
        posted: list[Posted] = []
        with self._db.transaction() as conn:
            calls.hold(conn, said.conv)
            decisions = self._decide(conn, said)
            for decision in decisions:
                calls.save(conn, decision.call)
            posts = [
                (decision.call, post, _devices_of(conn, post)) for decision in decisions for post in decision.posts
            ]
            # All at once and in one order: two calls that post to the same devices must not wait for each other.
            calls.hold_devices(conn, [device for _, _, devices in posts for device in devices])
            for call, post, devices in posts:
                posted += _deliver(conn, said, call, post, devices)
        for decision in decisions:
            self._count(said, decision)
        self._told(posted, said.ts)
        return len(posted)

    def forget(self) -> None:
        """Housekeeping: drop calls of yesterday."""
        with self._db.statement() as conn:
            calls.forget(conn, time.time())

    def _decide(self, conn: Connection, said: Said) -> Sequence[Decision]:
        known = calls.find(conn, said.conv, said.call)
        if said.verb == "invite":
            return _invite(conn, said, known)
        if known is None:
            raise NotFound("there is no such call, or it is not yours")
        if said.selected is not None and said.selected not in calls.devices_of(conn, known.callee):
            raise InvalidRequest("selected: is no device of the person who was called")
        return (rules.proceed(known, said.user, said.device, said.verb, said.ts, said.selected, said.reason),)

    def _count(self, said: Said, decision: Decision) -> None:
        if decision.ending:
            self._events[decision.ending].add()
        elif said.verb == "invite":
            self._events["invited"].add()
        elif said.verb == "select_answer":
            self._events["connected"].add()


def _invite(conn: Connection, said: Said, known: Call | None) -> Sequence[Decision]:
    if known is not None:
        raise Conflict("this call id was used before in this conversation")
    callee = said.callee
    if callee is None or callee == said.user or not calls.are_members(conn, said.conv, said.user, callee):
        raise NotFound("there is no such conversation, or not both of you are in it")
    if calls.ringing(conn, said.conv, said.user, said.ts) >= MAX_RINGING:
        raise TooMany("too many of your calls ring in this conversation")
    rings_until = said.ts + said.lifetime_ms / 1000
    call = Call(said.conv, said.call, said.user, said.device, callee, None, "ringing", rings_until)
    return rules.begin(call, calls.crossing(conn, said.conv, said.user, callee, said.ts))


def _devices_of(conn: Connection, post: Post) -> list[DeviceId]:
    return [post.device] if post.device else [d for d in calls.devices_of(conn, post.user) if d != post.but]


def _deliver(conn: Connection, said: Said, call: Call, post: Post, to: Sequence[DeviceId]) -> list[Posted]:
    payload = "" if post.by_server else said.payload
    lifetime_ms = said.lifetime_ms if post.verb == "invite" else 0
    content = Content(call.conv, call.id, said.version, lifetime_ms, payload, post.selected, post.reason)
    text = msgspec.json.encode(content).decode()
    return inbox.post(conn, said.user, said.device, Kind.CALL, post.verb, dict.fromkeys(to, text), said.ts)


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """For a TURN server that shares a secret with us; `ttl` in seconds."""

    username: str
    password: str
    ttl: int
    uris: list[str]


def turn_credentials(secret: str, uris: Sequence[str], user: UserId, now: float, ttl_s: int) -> TurnCredentials:
    """Credentials that a TURN server checks by itself; `now` in Unix seconds.

    Source: draft-uberti-behave-turn-rest-00, section 2.2; coturn's `use-auth-secret`.

    >>> turn_credentials("secret", ["turn:t.example.com"], UserId(12), 1000, 600).username
    '1600:12'
    """
    username = f"{int(now) + ttl_s}:{user}"
    password = base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()
    return TurnCredentials(username, password, ttl_s, list(uris))
