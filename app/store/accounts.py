"""Users, devices, refresh tokens, burned token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from app.domain.ids import DeviceId, UserId
from app.domain.people import DeviceType, Owner
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("accounts").rows


def create_user(conn: Connection, name: str, password_hash: str, *, probe: bool) -> UserId:
    """A new user; a name that is taken fails as a unique violation."""
    return UserId(_rows(conn, "create_user", name=name, password_hash=password_hash, probe=probe)[0][0])


def find_user(conn: Connection, name: str) -> tuple[UserId, str] | None:
    """(id, password hash) of the user of that name."""
    rows = _rows(conn, "find_user", name=name)
    return (UserId(rows[0][0]), rows[0][1]) if rows else None


def find_users(conn: Connection, names: Sequence[str]) -> dict[str, UserId]:
    """The ids of those of `names` who exist."""
    return dict(_rows(conn, "find_users", names=list(names)))


def is_probe(conn: Connection, user: UserId) -> bool:
    """Whether this is a probe of the monitoring."""
    return any(probe for (probe,) in _rows(conn, "is_probe", user=user))


def are_mixed(conn: Connection, users: Sequence[UserId]) -> bool:
    """Whether some of `users` are probes and some are not."""
    mixed: bool = _rows(conn, "are_mixed", users=list(users))[0][0]
    return mixed


def create_device(conn: Connection, user: UserId, device_type: DeviceType, name: str) -> DeviceId:
    """A new device of `user`."""
    return DeviceId(_rows(conn, "create_device", user=user, type=device_type, name=name)[0][0])


def owner_of_active_device(conn: Connection, device: DeviceId) -> Owner | None:
    """Whose device this is, unless it was revoked."""
    rows = _rows(conn, "active_device", device=device)
    return Owner(*rows[0]) if rows else None


def _hash(token: str) -> bytes:
    # A plain digest is right here: the token is 256 random bits, there is nothing to guess.
    return hashlib.sha256(token.encode()).digest()


def add_refresh_token(conn: Connection, token: str, device: DeviceId, family: str | None, ttl_s: int) -> None:
    """Store a refresh token's digest; family None begins a new family."""
    _rows(conn, "add_refresh_token", hash=_hash(token), family=family, device=device, ttl_s=ttl_s)


def use_refresh_token(conn: Connection, token: str) -> tuple[str, DeviceId, UserId] | None:
    """Burn a fresh token and return (family, device, user); None when it is not usable."""
    return _token_owner(_rows(conn, "use_refresh_token", hash=_hash(token)))


def use_refresh_token_again(conn: Connection, token: str, grace_s: int) -> tuple[str, DeviceId, UserId] | None:
    """As `use_refresh_token`, for a token used in the last `grace_s` seconds whose successor nobody used.

    That successor is withdrawn: a family has one unused token at most.
    """
    owner = _token_owner(_rows(conn, "lock_lately_used_token", hash=_hash(token), grace_s=grace_s))
    return owner if owner and _rows(conn, "withdraw_unused_successor", hash=_hash(token)) else None


def _token_owner(rows: list[tuple[Any, ...]]) -> tuple[str, DeviceId, UserId] | None:
    return (rows[0][0], DeviceId(rows[0][1]), UserId(rows[0][2])) if rows else None


def end_family_of_used_token(conn: Connection, token: str) -> bool:
    """End the family of a token that was used before; False when the token is simply unknown."""
    return bool(_rows(conn, "end_family_of_used_token", hash=_hash(token)))


def end_families_of_device(conn: Connection, device: DeviceId) -> None:
    """No refresh token of this device works any more."""
    _rows(conn, "end_families_of_device", device=device)


def forget_expired_tokens(conn: Connection) -> None:
    """Drop rows that no check can need any more."""
    _rows(conn, "forget_expired_tokens")
