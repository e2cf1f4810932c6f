"""On-call's own accounts: it must let people in when the messenger does not.

Three roles, each with all of the one before. A viewer looks; a responder acknowledges, resolves and notes; an admin
also sees what everybody did. Passwords are argon2id hashes; a sign-in is a random cookie whose digest is kept.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import argon2

from monitoring.oncall.store import Store

SIGNED_IN_FOR_S = 12 * 3600
MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 256

_hasher = argon2.PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_hex())
"""Compared with when there is no such person, so that the time of an answer shows nothing."""


class Role(IntEnum):
    """What somebody may do."""

    VIEWER = 1
    RESPONDER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is signed in."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this role, or more, is theirs."""
        return self.role >= role


class People:
    """The accounts in the store; `clock` in Unix seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store, self._clock = store, clock

    def put(self, name: str, password: str, role: Role, by: str) -> None:
        """Add somebody, or change their password and role; their sign-ins end."""
        with self._store.connect() as conn:
            conn.execute("DELETE FROM sign_ins WHERE name = ?", (name,))
            conn.execute(
                "INSERT INTO people (name, role, password_hash) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET role = excluded.role, password_hash = excluded.password_hash",
                (name, role.name.lower(), _hasher.hash(password)),
            )
        self.audit(by, f"made {name} a {role.name.lower()}")

    def remove(self, name: str, by: str) -> bool:
        """Whether there was such a person."""
        with self._store.connect() as conn:
            gone = conn.execute("DELETE FROM people WHERE name = ?", (name,)).rowcount > 0
        if gone:
            self.audit(by, f"removed {name}")
        return gone

    def all(self) -> list[Caller]:
        """Everybody, by name."""
        with self._store.connect() as conn:
            rows = conn.execute("SELECT name, role FROM people ORDER BY name").fetchall()
        return [Caller(row["name"], Role[row["role"].upper()]) for row in rows]

    def check(self, name: str, password: str) -> Caller | None:
        """Somebody with this name and password."""
        with self._store.connect() as conn:
            row = conn.execute("SELECT role, password_hash FROM people WHERE name = ?", (name,)).fetchone()
        try:
            _hasher.verify(row["password_hash"] if row else _NOBODY, password[:MAX_PASSWORD_CHARS])
        except argon2.exceptions.VerificationError:
            return None
        return Caller(name, Role[row["role"].upper()]) if row else None

    def sign_in(self, caller: Caller) -> str:
        """What the cookie says."""
        cookie = secrets.token_urlsafe(32)
        now = self._clock()
        with self._store.connect() as conn:
            conn.execute("DELETE FROM sign_ins WHERE expires_at < ?", (now,))
            values = (_digest(cookie), caller.name, now + SIGNED_IN_FOR_S)
            conn.execute("INSERT INTO sign_ins (digest, name, expires_at) VALUES (?, ?, ?)", values)
        self.audit(caller.name, "signed in")
        return cookie

    def signed_in(self, cookie: str) -> Caller | None:
        """Whose cookie it is, while it lasts."""
        query = (
            "SELECT p.name, p.role FROM sign_ins s JOIN people p ON p.name = s.name"
            " WHERE s.digest = ? AND s.expires_at > ?"
        )
        with self._store.connect() as conn:
            row = conn.execute(query, (_digest(cookie), self._clock())).fetchone()
        return Caller(row["name"], Role[row["role"].upper()]) if row else None

    def sign_out(self, cookie: str) -> None:
        """It is good for nothing any more."""
        with self._store.connect() as conn:
            conn.execute("DELETE FROM sign_ins WHERE digest = ?", (_digest(cookie),))

    def audit(self, who: str, what: str) -> None:
        """Keep who did what."""
        with self._store.connect() as conn:
            conn.execute("INSERT INTO audit (at, who, what) VALUES (?, ?, ?)", (self._clock(), who, what))

    def audited(self, limit: int) -> list[tuple[float, str, str]]:
        """(Unix seconds, who, what), newest first."""
        with self._store.connect() as conn:
            rows = conn.execute("SELECT at, who, what FROM audit ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [(row["at"], row["who"], row["what"]) for row in rows]


def _digest(cookie: str) -> bytes:
    # A plain digest is right here: the cookie is 256 random bits, there is nothing to guess.
    return hashlib.sha256(cookie.encode()).digest()
