"""Registering, signing in, and the tokens that come of it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from app.domain.ids import DeviceId, UserId
from app.domain.people import DeviceType, Identity
from app.errors import Conflict, DeviceRevoked, Unauthenticated
from app.services import passwords
from app.services.tokens import Tokens
from app.store import accounts
from app.store.db import Database


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

    def register(self, name: str, password: str, device_type: DeviceType, device_name: str) -> SignedIn:
        """A new person with a first device. Raises Conflict when the name is taken."""
        hashed = passwords.hash_password(password)
        try:
            with self._db.transaction() as conn:
                user = accounts.create_user(conn, name, hashed)
                device = accounts.create_device(conn, user, device_type, device_name)
                refresh = self._new_refresh_token()
                accounts.add_refresh_token(conn, refresh, device, None, self._refresh_ttl_s)
        except Conflict:
            raise Conflict("this name is taken", [{"field": "name", "problem": "is taken"}]) from None
        return self._signed_in(user, device, refresh)

    def login(self, name: str, password: str, device_type: DeviceType, device_name: str) -> SignedIn:
        """A new device of an existing person. Raises Unauthenticated."""
        with self._db.transaction() as conn:
            found = accounts.find_user(conn, name)
        if not passwords.verify_password(password, found[1] if found else None) or not found:
            raise Unauthenticated("name or password is wrong")
        refresh = self._new_refresh_token()
        with self._db.transaction() as conn:
            device = accounts.create_device(conn, found[0], device_type, device_name)
            accounts.add_refresh_token(conn, refresh, device, None, self._refresh_ttl_s)
        return self._signed_in(found[0], device, refresh)

    def refresh(self, token: str) -> SignedIn:
        """New tokens for a refresh token, which works once.

        Raises Unauthenticated. A token that is used twice was stolen from somebody: its
        whole family ends, so that neither the thief nor the owner stays signed in by it.
        """
        with self._db.transaction() as conn:
            used = accounts.use_refresh_token(conn, token)
            if used:
                family, device, user = used
                renewed = self._new_refresh_token()
                accounts.add_refresh_token(conn, renewed, device, family, self._refresh_ttl_s)
                return self._signed_in(user, device, renewed)
            accounts.end_family_of_used_token(conn, token)
        raise Unauthenticated("the refresh token is not valid; sign in again")

    def logout(self, identity: Identity) -> None:
        """End this device's refresh tokens; its access token runs out by itself."""
        with self._db.transaction() as conn:
            accounts.end_families_of_device(conn, identity.device)

    def ws_token(self, identity: Identity) -> str:
        """A single-use token for the query of a WebSocket URL."""
        return self._tokens.mint_ws(identity, time.time())

    def authenticate(self, token: str) -> Identity:
        """Who calls the HTTP API: a valid token of a device that is not revoked."""
        identity = self._tokens.check(token)
        with self._db.transaction() as conn:
            owner = accounts.owner_of_active_device(conn, identity.device)
        return require_owner(identity, owner)

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


def require_owner(identity: Identity, owner: UserId | None) -> Identity:
    """The identity, when its device still belongs to it; raises DeviceRevoked otherwise."""
    if owner != identity.user:
        raise DeviceRevoked
    return identity
