"""Devices as the realtime core sees them: signed in by the batch, displaced, revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Membership
from app.domain.people import DeviceEventKind, DeviceType
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("devices").rows

Outcome = Literal["ok", "revoked", "unknown", "burnt"]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A device that connects; `jti` and `burn_until` (Unix seconds) are set when it came with a single-use token."""

    device: DeviceId
    user: UserId
    jti: str | None = None
    burn_until: float | None = None


@dataclass(slots=True)
class Admission:
    """What became of one newcomer. `fence`: of two connections of one device, the higher number stays.

    `inbox_head` is the number of the last item ever sent to it; `waited_for`: items wait for it, or it has keys whose
    number it must hear. `position` is where the log was. `probe`: its person is one of the monitoring's.
    """

    outcome: Outcome
    fence: int
    memberships: list[Membership]
    inbox_head: int = 0
    waited_for: bool = False
    position: str = ""
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its owner sees it; times in Unix seconds."""

    id: DeviceId
    type: DeviceType
    name: str
    created_at: float
    last_seen_at: float


def sign_in(conn: Connection, newcomers: Sequence[Newcomer]) -> dict[DeviceId, Admission]:
    """Admit a batch; no device may be in it twice."""
    rows = _rows(
        conn,
        "sign_in",
        devices=[n.device for n in newcomers],
        users=[n.user for n in newcomers],
        jtis=[n.jti for n in newcomers],
        burn_until=[n.burn_until for n in newcomers],
    )
    admitted: dict[DeviceId, Admission] = {}
    for device, outcome, fence, inbox_head, waited_for, position, probe, conv, from_seq, to_seq, cursor, head in rows:
        admission = admitted.get(device)
        if admission is None:
            admission = admitted[device] = Admission(outcome, fence, [], inbox_head, waited_for, position, probe)
        if conv is not None:
            admission.memberships.append(Membership(conv, from_seq, to_seq, cursor, head))
    return admitted


def revoke(conn: Connection, device: DeviceId, user: UserId) -> float | None:
    """Revoke a device of `user`: when that is (Unix seconds); None when there is none, or it was revoked before."""
    found = _rows(conn, "revoke", device=device, user=user)
    return float(found[0][0]) if found else None


def note_event(conn: Connection, devices: Sequence[DeviceId], kind: DeviceEventKind) -> None:
    """Tell every node, through the log, what became of these devices."""
    _rows(conn, "note_event", devices=list(devices), kind=int(kind))


def of_user(conn: Connection, user: UserId) -> list[Device]:
    """The devices of `user` that are not revoked, the oldest first."""
    return [Device(*row) for row in _rows(conn, "list", user=user)]


def of_members(conn: Connection, conv: ConversationId, most: int) -> list[tuple[UserId, DeviceId, float]]:
    """Everybody's devices in a conversation of at most `most` people, and when they were last seen (Unix seconds)."""
    return [
        (UserId(user), DeviceId(device), seen) for user, device, seen in _rows(conn, "of_members", conv=conv, most=most)
    ]


def rename(conn: Connection, device: DeviceId, user: UserId, name: str) -> bool:
    """Give a device of `user` another name; False when there is none, or it was revoked."""
    return bool(_rows(conn, "rename", device=device, user=user, name=name))


def saw(conn: Connection, seen: Mapping[DeviceId, float]) -> None:
    """These devices were connected at that time (Unix seconds)."""
    _rows(conn, "saw", devices=list(seen), at=list(seen.values()))


def forget_events(conn: Connection) -> None:
    """Drop events that every node has read long ago."""
    _rows(conn, "forget_events")
