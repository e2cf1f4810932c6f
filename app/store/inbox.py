"""Inboxes of devices: put into, read in pages, acknowledged."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.ids import DeviceId, UserId
from app.domain.inbox import Item, Kind, Posted
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("inbox").rows


def post(
    conn: Connection,
    sender: UserId,
    sender_device: DeviceId,
    kind: Kind,
    type_: str,
    contents: Mapping[DeviceId, str],
    ts: float,
    txn: str | None = None,
) -> list[Posted]:
    """One item for each device; nothing for one that was revoked, and nothing at all for a `txn` that is known."""
    rows = _rows(
        conn,
        "post",
        sender=sender,
        sender_device=sender_device,
        txn=txn,
        kind=int(kind),
        type=type_,
        devices=list(contents),
        contents=list(contents.values()),
        ts=ts,
    )
    return [Posted(DeviceId(device), seq) for device, seq in rows]


def pages(conn: Connection, after: Mapping[DeviceId, int], limit: int) -> list[Item]:
    """At most `limit` items of each device after a seq, ordered by device and seq."""
    rows = _rows(conn, "pages", devices=list(after), after=list(after.values()), limit=limit)
    return [Item(d, seq, Kind(kind), u, ud, t, content, ts) for d, seq, kind, u, ud, t, content, ts in rows]


def acknowledge(conn: Connection, reached: Mapping[DeviceId, int], epoch: str) -> None:
    """These devices have everything through that seq of the database that is called `epoch`."""
    _rows(conn, "acknowledge", devices=list(reached), seqs=list(reached.values()), epoch=epoch)


def forget_txns(conn: Connection) -> None:
    """Drop requests that nobody repeats any more."""
    _rows(conn, "forget_txns")
