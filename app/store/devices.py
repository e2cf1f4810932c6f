"""Devices as the realtime core sees them: signed in by the batch, displaced, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.domain.ids import DeviceId, UserId
from app.domain.log import Membership
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
    """What became of one newcomer. `fence`: of two connections of one device, the higher number stays."""

    outcome: Outcome
    fence: int
    memberships: list[Membership]


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
    for device, outcome, fence, conv, from_seq, to_seq, cursor, head in rows:
        admission = admitted.get(device)
        if admission is None:
            admission = admitted[device] = Admission(outcome, fence, [])
        if conv is not None:
            admission.memberships.append(Membership(conv, from_seq, to_seq, cursor, head))
    return admitted


def revoke(conn: Connection, device: DeviceId, user: UserId) -> bool:
    """Revoke a device of `user`; False when there is none, or it was revoked before."""
    return bool(_rows(conn, "revoke", device=device, user=user))


def forget_events(conn: Connection) -> None:
    """Drop events that every node has read long ago."""
    _rows(conn, "forget_events")
