"""Links between a signed-in device and a new one; each row is read under its lock."""

from __future__ import annotations

from app.domain.ids import DeviceId, UserId
from app.domain.links import Link, State
from app.domain.people import DeviceType
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("links").rows


def create(
    conn: Connection, user: UserId, device: DeviceId, secret_hash: bytes, code_hash: bytes, lifetime_s: int
) -> tuple[int, float]:
    """A new link of `device`, in place of one it offered before; (id, when it expires in Unix seconds)."""
    link, expires_at = _rows(
        conn,
        "create",
        user=user,
        device=device,
        secret_hash=secret_hash,
        code_hash=code_hash,
        lifetime_s=lifetime_s,
    )[0]
    return link, expires_at


def _hold(conn: Connection, link: int | None, offer: bytes | None, claim: bytes | None) -> Link | None:
    rows = _rows(conn, "hold", id=link, offer=offer, claim=claim)
    return Link(*rows[0]) if rows else None


def hold(conn: Connection, link: int) -> Link | None:
    """The link with this id."""
    return _hold(conn, link, None, None)


def hold_offered(conn: Connection, offer: bytes) -> Link | None:
    """The link whose secret or code has this digest."""
    return _hold(conn, None, offer, None)


def hold_claimed(conn: Connection, claim: bytes) -> Link | None:
    """The link that was claimed with a token of this digest."""
    return _hold(conn, None, None, claim)


def maker_lives(conn: Connection, link: Link) -> bool:
    """Whether the device that made it is still signed in."""
    return bool(_rows(conn, "device_lives", device=link.device))


def claim(
    conn: Connection,
    link: Link,
    claim_hash: bytes,
    device_type: DeviceType,
    name: str,
    key: str,
    nonce: str,
    comparison: str,
) -> None:
    """Somebody shows what it is and waits to be confirmed."""
    _rows(
        conn,
        "claim",
        id=link.id,
        claim=claim_hash,
        type=device_type,
        name=name,
        key=key,
        nonce=nonce,
        comparison=comparison,
    )


def decide(conn: Connection, link: Link, state: State) -> None:
    """The signed-in device has decided."""
    _rows(conn, "decide", id=link.id, state=state)


def complete(conn: Connection, link: Link, device: DeviceId) -> None:
    """The new device is signed in."""
    _rows(conn, "complete", id=link.id, device=device)


def cancel_of_device(conn: Connection, device: DeviceId) -> None:
    """Withdraw what this device offers."""
    _rows(conn, "cancel_of_device", device=device)


def forget(conn: Connection) -> None:
    """Drop links that expired long ago."""
    _rows(conn, "forget")
