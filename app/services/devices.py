"""Devices of a person: listed, renamed, signed out for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gevent

from app import logs
from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.people import DeviceEventKind, DeviceType, Identity
from app.errors import NotFound
from app.storage.revocations import RevocationJournal
from app.store import accounts, conversations, devices, keys, links
from app.store.db import Database

MAX_PRESENCE = 64

log = logs.get("devices")

Connected = Callable[[Sequence[DeviceId]], Mapping[DeviceId, float]]
"""Which of these devices are connected, on any node, and when they were last heard of (Unix seconds)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A device as its owner sees it; times in Unix seconds. `current` is the one that asks."""

    id: DeviceId
    type: DeviceType
    name: str
    created_at: float
    last_seen_at: float
    connected: bool
    current: bool


@dataclass(slots=True)
class Present:
    """Whether one of a person's devices is connected, and when one last was (Unix seconds)."""

    user: UserId
    online: bool
    last_seen_at: float


class Devices:
    """What a person may do with their devices."""

    def __init__(self, db: Database, connected: Connected, journal: RevocationJournal | None = None) -> None:
        """`journal`: where revocations are kept for the day when the database is restored."""
        self._db = db
        self._connected = connected
        self._journal = journal

    def of_caller(self, caller: Identity) -> list[Shown]:
        """The caller's devices that are signed in, the oldest first."""
        with self._db.transaction() as conn:
            found = devices.of_user(conn, caller.user)
        here = self._connected([one.id for one in found])
        return [
            Shown(
                one.id,
                one.type,
                one.name,
                one.created_at,
                max(one.last_seen_at, here.get(one.id, 0.0)),
                one.id in here,
                one.id == caller.device,
            )
            for one in found
        ]

    def presence(self, asker: UserId, conv: ConversationId) -> list[Present]:
        """Who of a conversation is there; nobody of one with more than MAX_PRESENCE people. Raises NotFound.

        Read when somebody looks and told to nobody else: a change that all contacts were told of would cost a fan-out
        for each connect.
        """
        with self._db.transaction() as conn:
            if not conversations.is_member(conn, conv, asker):
                raise NotFound("there is no such conversation, or you are not in it")
            found = devices.of_members(conn, conv, MAX_PRESENCE)
        here = self._connected([device for _, device, _ in found])
        people: dict[UserId, Present] = {}
        for user, device, seen in found:
            known = people.setdefault(user, Present(user, False, 0.0))
            known.online = known.online or device in here
            known.last_seen_at = max(known.last_seen_at, seen, here.get(device, 0.0))
        return list(people.values())

    def rename(self, caller: Identity, device: DeviceId, name: str) -> None:
        """Give a device of the caller another name; the person's devices hear of it. Raises NotFound."""
        with self._db.transaction() as conn:
            if not devices.rename(conn, device, caller.user, name):
                raise NotFound("there is no such device, or it is not yours")
            devices.note_event(conn, [device], DeviceEventKind.CHANGED)

    def revoke(self, caller: Identity, device: DeviceId) -> None:
        """End a device of the caller: its tokens, its keys, what waits for it, what it offers; and through the log its
        connections on every node. Whoever shares a conversation learns that the list of devices changed.

        Raises NotFound when it is nobody's, somebody else's, or revoked already.
        """
        with self._db.transaction() as conn:
            at = devices.revoke(conn, device, caller.user)
            if at is None:
                raise NotFound("there is no such device, or it is not yours")
            self._write_down(device, at)
            accounts.end_families_of_device(conn, device)
            links.cancel_of_device(conn, device)
            keys.forget_device(conn, device)
            keys.touch_list(conn, caller.user)

    def _write_down(self, device: DeviceId, at: float) -> None:
        """Before it is committed. A disk that is full must keep nobody from signing a lost phone out."""
        if self._journal is not None:
            try:
                gevent.get_hub().threadpool.apply(self._journal.write, (device, at))
            except OSError:
                log.exception(
                    "a revocation is not in the journal; a restored backup would not know of it", device=device
                )

    def forget_events(self) -> None:
        """Housekeeping: drop device events that every node has read long ago."""
        with self._db.statement() as conn:
            devices.forget_events(conn)


class LastSeen:
    """When devices were last connected. `relaxed`: a pool that trades the last instants before a crash for speed."""

    def __init__(self, relaxed: Database) -> None:
        self._relaxed = relaxed

    def saw(self, seen: Mapping[DeviceId, float]) -> None:
        """These devices were connected at that time (Unix seconds)."""
        with self._relaxed.statement() as conn:
            devices.saw(conn, seen)
