"""Calls, read and written under a lock of their conversation."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.calls import Call
from app.domain.ids import ConversationId, DeviceId, UserId
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("calls").rows


def hold(conn: Connection, conv: ConversationId) -> None:
    """Decide calls of this conversation alone until the transaction ends."""
    _rows(conn, "hold_pair", conv=conv)


def are_members(conn: Connection, conv: ConversationId, caller: UserId, callee: UserId) -> bool:
    """Whether both are in the conversation."""
    found: int = _rows(conn, "both_members", conv=conv, caller=caller, callee=callee)[0][0]
    return found == 2


def find(conn: Connection, conv: ConversationId, call: str) -> Call | None:
    """The call with this id."""
    rows = _rows(conn, "find", conv=conv, call=call)
    return Call(*rows[0]) if rows else None


def crossing(conn: Connection, conv: ConversationId, caller: UserId, callee: UserId, now: float) -> Call | None:
    """A call that rings the other way round."""
    rows = _rows(conn, "crossing", conv=conv, caller=caller, callee=callee, now=now)
    return Call(*rows[0]) if rows else None


def ringing(conn: Connection, conv: ConversationId, caller: UserId, now: float) -> int:
    """How many calls of `caller` ring in this conversation."""
    count: int = _rows(conn, "ringing_of", conv=conv, caller=caller, now=now)[0][0]
    return count


def save(conn: Connection, call: Call) -> None:
    """Store a new call, or what became of one."""
    _rows(
        conn,
        "save",
        conv=call.conv,
        call=call.id,
        caller=call.caller,
        caller_device=call.caller_device,
        callee=call.callee,
        callee_device=call.callee_device,
        state=call.state,
        rings_until=call.rings_until,
    )


def devices_of(conn: Connection, user: UserId) -> list[DeviceId]:
    """The devices of `user` that are not revoked."""
    return [DeviceId(row[0]) for row in _rows(conn, "devices_of", user=user)]


def hold_devices(conn: Connection, devices: Sequence[DeviceId]) -> None:
    """Nobody else puts anything into the inboxes of these until the transaction ends."""
    _rows(conn, "hold_devices", devices=list(devices))


def forget(conn: Connection, before: float) -> None:
    """Drop calls that ended, or stopped ringing `before` (Unix seconds), more than a day ago."""
    _rows(conn, "forget", before=before)
