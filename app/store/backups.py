"""What the database knows of its own backups, and what must happen to one that was restored."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.ids import DeviceId
from app.store import keys
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("backups").rows


def note(conn: Connection, taken_at: float, file: str, size_bytes: int) -> None:
    """A backup was taken (Unix seconds)."""
    _rows(conn, "note", taken_at=taken_at, file=file, size_bytes=size_bytes)
    _rows(conn, "forget")


def last(conn: Connection) -> float | None:
    """When the last one was taken (Unix seconds); None: never."""
    at: float | None = _rows(conn, "last")[0][0]
    return at


def epoch(conn: Connection) -> str:
    """What clients know this database by."""
    name: str = _rows(conn, "epoch")[0][0]
    return name


def others(conn: Connection, database: str) -> int:
    """How many others are connected to a database of this server."""
    return int(_rows(conn, "others", database=database)[0][0])


def is_empty(conn: Connection) -> bool:
    """Whether there is no table."""
    return bool(_rows(conn, "is_empty")[0][0])


def begin_a_new_epoch(conn: Connection) -> None:
    """Make a restored database fit to be served: what it must not repeat is dropped, and clients will notice."""
    _rows(conn, "begin_a_new_epoch")


def revoke_again(conn: Connection, revoked: Mapping[DeviceId, float]) -> list[DeviceId]:
    """Revoke devices that were revoked at that time (Unix seconds), as far as they are not; which ones that were."""
    found = _rows(conn, "revoke_again", devices=list(revoked), at=list(revoked.values()))
    again = [DeviceId(device) for (device,) in found]
    for device in again:
        keys.forget_device(conn, device)
    return again
