"""Access tokens: short-lived JWTs, algorithm pinned, audience and device required.

Two audiences: `api` for HTTP and `hello`, `ws` for the query of a WebSocket URL. The
second kind is single-use and lives at most a minute, because URLs end up in logs.
Source: RFC 8725 (JWT best current practices).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Literal

import jwt

from app.domain.ids import DeviceId, UserId
from app.domain.people import Identity
from app.errors import TokenExpired, Unauthenticated

ALGORITHM = "HS256"
ISSUER = "messenger"
LEEWAY_S = 30
"""Clocks of our nodes may differ by this much."""
WS_TOKEN_TTL_S = 60

Audience = Literal["api", "ws"]


@dataclass(frozen=True, slots=True)
class WsToken:
    """A checked single-use token; `jti` is still to be burned, and to be remembered until `burn_until` (Unix seconds).

    Its identity lives as long as the access token it was made from.
    """

    identity: Identity
    jti: str
    burn_until: float


class Tokens:
    """Mints and checks tokens under one secret."""

    def __init__(self, secret: str, access_ttl_s: int) -> None:
        self._secret = secret
        self.access_ttl_s = access_ttl_s

    def mint(self, user: UserId, device: DeviceId, now: float, ttl_s: int | None = None) -> str:
        """An access token for this device; `now` in Unix seconds."""
        return self._encode(user, device, "api", now, ttl_s or self.access_ttl_s, {})

    def mint_ws(self, identity: Identity, now: float) -> str:
        """A single-use token for the query of a WebSocket URL."""
        more: dict[str, object] = {"jti": str(uuid.uuid4()), "until": identity.expires_at}
        return self._encode(identity.user, identity.device, "ws", now, WS_TOKEN_TTL_S, more)

    def check(self, token: str) -> Identity:
        """Who an access token speaks for. Raises TokenExpired or Unauthenticated."""
        return self._decode(token, "api")[0]

    def device_of_expired(self, token: str) -> DeviceId:
        """Which device an access token was made for, however old it is. Raises Unauthenticated."""
        return self._decode(token, "api", verify_exp=False)[0].device

    def check_ws(self, token: str) -> WsToken:
        """Who a single-use token speaks for. Raises TokenExpired or Unauthenticated."""
        identity, claims = self._decode(token, "ws")
        try:
            until = float(str(claims["until"]))
            return WsToken(replace(identity, expires_at=until), str(uuid.UUID(str(claims["jti"]))), identity.expires_at)
        except (KeyError, ValueError):
            raise Unauthenticated from None

    def _encode(
        self, user: UserId, device: DeviceId, audience: Audience, now: float, ttl_s: int, more: dict[str, object]
    ) -> str:
        claims = {"iss": ISSUER, "aud": audience, "sub": str(user), "dev": device, "iat": int(now)}
        return jwt.encode({**claims, "exp": int(now) + ttl_s, **more}, self._secret, algorithm=ALGORITHM)

    def _decode(self, token: str, audience: Audience, *, verify_exp: bool = True) -> tuple[Identity, dict[str, object]]:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                # When it was issued decides nothing: a node whose clock is behind must take the tokens of the others.
                options={"require": ["exp", "iat", "aud", "sub", "dev"], "verify_iat": False, "verify_exp": verify_exp},
            )
            identity = Identity(UserId(int(claims["sub"])), DeviceId(int(claims["dev"])), float(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise Unauthenticated from None
        return identity, claims
