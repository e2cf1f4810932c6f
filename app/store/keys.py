"""Public keys of devices: identities, one-time keys, fallback keys; and whose list of devices changed.

All keys are JSON texts as their device signed them; they are kept as they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.ids import ConversationId, DeviceId, UserId
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("keys").rows


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an algorithm."""

    algorithm: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a device still has: one-time keys by algorithm, and the algorithms whose fallback key is unused."""

    one_time: dict[str, int]
    unused_fallback: list[str]


@dataclass(frozen=True, slots=True)
class Identity:
    """A device's identity as others see it; `name` is what its owner calls it."""

    user: UserId
    device: DeviceId
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A key that was handed out."""

    device: DeviceId
    key: Key
    fallback: bool


def hold_device(conn: Connection, user: UserId, device: DeviceId) -> bool:
    """Hold the device until the transaction ends; False when it is not the user's, or was revoked."""
    return bool(_rows(conn, "hold_device", user=user, device=device))


def identity(conn: Connection, device: DeviceId) -> str | None:
    """The identity a device has uploaded."""
    rows = _rows(conn, "identity", device=device)
    return rows[0][0] if rows else None


def save_identity(conn: Connection, user: UserId, device: DeviceId, text: str) -> None:
    """Store a device's identity."""
    _rows(conn, "save_identity", user=user, device=device, keys=text)


def known_one_time_keys(conn: Connection, device: DeviceId, keys: Sequence[Key]) -> dict[tuple[str, str], str]:
    """Those of `keys` whose (algorithm, id) is known, with the text they were uploaded with."""
    rows = _rows(
        conn,
        "known_one_time_keys",
        device=device,
        algorithms=[key.algorithm for key in keys],
        ids=[key.id for key in keys],
    )
    return {(algorithm, key_id): text for algorithm, key_id, text in rows}


def add_one_time_keys(conn: Connection, user: UserId, device: DeviceId, keys: Sequence[Key]) -> None:
    """Store new keys in their order; known ones are passed over."""
    _rows(
        conn,
        "add_one_time_keys",
        user=user,
        device=device,
        algorithms=[key.algorithm for key in keys],
        ids=[key.id for key in keys],
        keys=[key.text for key in keys],
    )


def save_fallback_key(conn: Connection, device: DeviceId, key: Key) -> None:
    """Replace the fallback key of an algorithm."""
    _rows(conn, "save_fallback_key", device=device, algorithm=key.algorithm, id=key.id, key=key.text)


def counts(conn: Connection, devices: Sequence[DeviceId]) -> dict[DeviceId, Counts]:
    """What each device that has an identity still has."""
    rows = _rows(conn, "counts", devices=list(devices))
    return {DeviceId(device): Counts(one_time, unused) for device, one_time, unused in rows}


def reachable(conn: Connection, caller: UserId, users: Sequence[UserId]) -> list[tuple[UserId, DeviceId]]:
    """The devices of those `users` who share a conversation with `caller`, and of the caller."""
    return [(UserId(u), DeviceId(d)) for u, d in _rows(conn, "reachable", caller=caller, users=list(users))]


def query(conn: Connection, devices: Sequence[DeviceId]) -> list[Identity]:
    """The identities of these devices, as far as they have one and were not revoked."""
    return [Identity(*row) for row in _rows(conn, "query", devices=list(devices))]


def claim(conn: Connection, wanted: Sequence[tuple[DeviceId, str]]) -> list[Claimed]:
    """Take one key for each (device, algorithm), none of which is named twice; a one-time key is taken once, ever."""
    rows = _rows(conn, "claim", devices=[d for d, _ in wanted], algorithms=[a for _, a in wanted])
    return [
        Claimed(DeviceId(device), Key(algorithm, key_id, text), fallback)
        for device, algorithm, key_id, text, fallback in rows
    ]


def touch_list(conn: Connection, user: UserId) -> None:
    """The devices or keys of `user` changed."""
    _rows(conn, "touch_list", user=user)


def forget_device(conn: Connection, device: DeviceId) -> None:
    """Drop a device's keys, and what was sent to it."""
    _rows(conn, "forget_device", device=device)


def changes(conn: Connection, user: UserId, since: str) -> tuple[list[UserId], list[UserId]]:
    """(whose devices changed, who shares no conversation any more) at or past the log's position `since`."""
    rows = _rows(conn, "changes", user=user, since=since)
    return [UserId(u) for u, together in rows if together], [UserId(u) for u, together in rows if not together]


def own_reads(conn: Connection, user: UserId, since: str) -> list[tuple[ConversationId, int]]:
    """The read markers of `user` that moved at or past `since`."""
    return [(ConversationId(conv), seq) for conv, seq in _rows(conn, "own_reads", user=user, since=since)]


def forget_claimed(conn: Connection) -> None:
    """Drop the marks of keys that were handed out long ago."""
    _rows(conn, "forget_claimed")
