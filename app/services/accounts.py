"""Registering, signing in, and the tokens that come of it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace

from app.domain.ids import DeviceId, UserId
from app.domain.people import DeviceEventKind, DeviceType, Identity, Owner
from app.errors import Conflict, DeviceRevoked, TokenExpired, Unauthenticated
from app.services import passwords
from app.services.tokens import Tokens
from app.store import accounts, devices
from app.store.db import Connection, Database

LOST_ANSWER_S = 60  # how long a client tries again; an owner whose token was stolen comes later than that


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a device keeps after signing in or refreshing; `expires_in` in seconds, of the access token."""

    user: UserId
    device: DeviceId
    access_token: str
    refresh_token: str
    expires_in: int


class Accounts:
    """People and their sessions."""

    def __init__(self, db: Database, tokens: Tokens, refresh_ttl_s: int) -> None:
        self._db = db
        self._tokens = tokens
        self._refresh_ttl_s = refresh_ttl_s

    def register(
        self, name: str, password: str, device_type: DeviceType, device_name: str, *, probe: bool = False
    ) -> SignedIn:
        """A new person, or probe of the monitoring, with a first device. Raises Conflict when the name is taken."""
        hashed = passwords.hash_password(password)
        try:
            with self._db.transaction() as conn:
                user = accounts.create_user(conn, name, hashed, probe=probe)
                return self.admit(conn, user, device_type, device_name)
        except Conflict:
            raise Conflict("this name is taken", [{"field": "name", "problem": "is taken"}]) from None

    def login(self, name: str, password: str, device_type: DeviceType, device_name: str) -> SignedIn:
        """A new device of an existing person. Raises Unauthenticated."""
        with self._db.transaction() as conn:
            found = accounts.find_user(conn, name)
        if not passwords.verify_password(password, found[1] if found else None) or not found:
            raise Unauthenticated("name or password is wrong")
        with self._db.transaction() as conn:
            signed_in = self.admit(conn, found[0], device_type, device_name)
            devices.note_event(conn, [signed_in.device], DeviceEventKind.LINKED)
        return signed_in

    def admit(self, conn: Connection, user: UserId, device_type: DeviceType, device_name: str) -> SignedIn:
        """A new device of a person, in the caller's transaction: who has checked that it may be."""
        device = accounts.create_device(conn, user, device_type, device_name)
        refresh = self._new_refresh_token()
        accounts.add_refresh_token(conn, refresh, device, None, self._refresh_ttl_s)
        return self._signed_in(user, device, refresh)

    def refresh(self, token: str) -> SignedIn:
        """New tokens for a refresh token, which works once.

        Raises Unauthenticated. A token that is used twice was stolen from somebody: its
        whole family ends, so that neither the thief nor the owner stays signed in by it.
        Except for a minute, while nobody has used what it was exchanged for: then the answer
        was lost on its way, and a device that asks again must not be signed out for it. Were
        it a thief, the owner's next refresh would end the family all the same.
        """
        with self._db.transaction() as conn:
            used = accounts.use_refresh_token(conn, token) or accounts.use_refresh_token_again(
                conn, token, LOST_ANSWER_S
            )
            if used:
                family, device, user = used
                renewed = self._new_refresh_token()
                accounts.add_refresh_token(conn, renewed, device, family, self._refresh_ttl_s)
                return self._signed_in(user, device, renewed)
            accounts.end_family_of_used_token(conn, token)
        raise Unauthenticated("the refresh token is not valid; sign in again")

    def is_probe(self, user: UserId) -> bool:
        """Whether this is a probe of the monitoring."""
        with self._db.statement() as conn:
            return accounts.is_probe(conn, user)

    def logout(self, identity: Identity) -> None:
        """End this device's refresh tokens; its access token runs out by itself."""
        with self._db.transaction() as conn:
            accounts.end_families_of_device(conn, identity.device)

    def ws_token(self, identity: Identity) -> str:
        """A single-use token for the query of a WebSocket URL."""
        return self._tokens.mint_ws(identity, time.time())

    def authenticate(self, token: str) -> Identity:
        """Who calls the HTTP API: a valid token of a device that is not revoked.

        Raises Unauthenticated, TokenExpired or DeviceRevoked. A device that was away learns from its
        old token that it was revoked: then it erases what it holds, and not because it was away for long.
        """
        try:
            identity = self._tokens.check(token)
        except TokenExpired:
            if not self._owner(self._tokens.device_of_expired(token)):
                raise DeviceRevoked from None
            raise
        return require_owner(identity, self._owner(identity.device))

    def _owner(self, device: DeviceId) -> Owner | None:
        with self._db.transaction() as conn:
            return accounts.owner_of_active_device(conn, device)

    def forget_expired(self) -> None:
        """Housekeeping: drop tokens that no check can need any more."""
        with self._db.transaction() as conn:
            accounts.forget_expired_tokens(conn)

    def _signed_in(self, user: UserId, device: DeviceId, refresh_token: str) -> SignedIn:
        access = self._tokens.mint(user, device, time.time())
        return SignedIn(user, device, access, refresh_token, self._tokens.access_ttl_s)

    @staticmethod
    def _new_refresh_token() -> str:
        return secrets.token_urlsafe(32)


def require_owner(identity: Identity, owner: Owner | None) -> Identity:
    """The identity, when its device still belongs to it; raises DeviceRevoked otherwise."""
    if owner is None or owner.user != identity.user:
        raise DeviceRevoked
    return replace(identity, probe=owner.probe)
