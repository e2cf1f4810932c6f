"""Sending to single devices, through inboxes that keep what they hold until the device has it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.ids import DeviceId, UserId
from app.domain.inbox import Item, Kind, Posted
from app.domain.matrix import device_name, device_of, user_name
from app.domain.people import Identity
from app.errors import InvalidRequest
from app.services.keys import user_named
from app.services.throttle import Throttle
from app.store import inbox, keys
from app.store.db import Database

MAX_DEVICES = 1_000
MAX_CONTENT_CHARS = 65_536
SENT_TO_A_TARGET = "600/minute"
EVERY_DEVICE = "*"

Told = Callable[[Sequence[Posted], float], None]
"""Takes what was put into inboxes to those who are connected (received at, Unix seconds); the realtime side's part."""


class Inboxes:
    """Reading them. `relaxed` is the pool for acknowledgements, which devices repeat."""

    def __init__(self, db: Database, relaxed: Database) -> None:
        self._db = db
        self._relaxed = relaxed

    def pages(self, after: Mapping[DeviceId, int], limit: int) -> list[Item]:
        """At most `limit` items of each device after a seq."""
        with self._db.statement() as conn:
            return inbox.pages(conn, after, limit)

    def acknowledge(self, reached: Mapping[DeviceId, int], epoch: str) -> None:
        """These devices have everything through that seq, of the database that is called `epoch`: it is dropped."""
        with self._relaxed.statement() as conn:
            inbox.acknowledge(conn, reached, epoch)

    def forget_txns(self) -> None:
        """Housekeeping: drop requests that nobody repeats any more."""
        with self._db.statement() as conn:
            inbox.forget_txns(conn)


class ToDevice:
    """Putting into them what devices send to devices."""

    def __init__(self, db: Database, told: Told) -> None:
        self._db = db
        self._told = told
        self._to_target = Throttle(SENT_TO_A_TARGET, "too much was sent to one person; wait a minute")

    def send(
        self, caller: Identity, type_: str, txn: str, messages: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, list[str]]:
        """Put one item into the inbox of each named device; `*` names all of a person but the caller's own.

        Returns the devices (user → device) that got nothing: revoked, unknown, or their owner shares no conversation
        with the caller. The same `txn` again sends nothing. Raises InvalidRequest or TooMany.
        """
        named = {user_named("messages", name): to for name, to in messages.items()}
        now = time.time()
        self._to_target.spend(*(f"{caller.user}:{user}" for user in named))
        with self._db.transaction() as conn:
            known = keys.reachable(conn, caller.user, list(named))
            contents = _contents(caller, named, known)
            posted = inbox.post(conn, caller.user, caller.device, Kind.TO_DEVICE, type_, contents, now, txn)
        self._told(posted, now)
        return _not_sent(named, contents)


def _contents(
    caller: Identity, named: Mapping[UserId, Mapping[str, Any]], known: Sequence[tuple[UserId, DeviceId]]
) -> dict[DeviceId, str]:
    contents: dict[DeviceId, str] = {}
    for user, device in known:
        to = named[user]
        if device_name(device) in to:
            contents[device] = msgspec.json.encode(to[device_name(device)]).decode()
        elif EVERY_DEVICE in to and device != caller.device:
            contents[device] = msgspec.json.encode(to[EVERY_DEVICE]).decode()
    if len(contents) > MAX_DEVICES:
        raise InvalidRequest(f"messages: at most {MAX_DEVICES} devices at a time")
    if any(len(content) > MAX_CONTENT_CHARS for content in contents.values()):
        raise InvalidRequest(f"messages: a content may have at most {MAX_CONTENT_CHARS} characters")
    return contents


def _not_sent(named: Mapping[UserId, Mapping[str, Any]], contents: Mapping[DeviceId, str]) -> dict[str, list[str]]:
    left = {
        user_name(user): [name for name in to if name != EVERY_DEVICE and device_of(name) not in contents]
        for user, to in named.items()
    }
    return {user: names for user, names in left.items() if names}
