"""Tokens: algorithm, audience, issuer and expiry are pinned (RFC 8725)."""

from __future__ import annotations

import time

import jwt
import pytest

from app.domain.ids import DeviceId, UserId
from app.domain.people import Identity
from app.errors import TokenExpired, Unauthenticated
from app.services.tokens import ISSUER, LEEWAY_S, WS_TOKEN_TTL_S, Tokens

SECRET = "s" * 64
tokens = Tokens(SECRET, access_ttl_s=900)


def forged(algorithm: str = "HS256", secret: str = SECRET, **changes: object) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "api", "sub": "1", "dev": 2, "iat": now, "exp": now + 86_400} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm=algorithm)


def test_what_is_minted_is_accepted() -> None:
    now = time.time()
    identity = tokens.check(tokens.mint(UserId(1), DeviceId(2), now))
    assert (identity.user, identity.device) == (1, 2)
    assert identity.expires_at == int(now) + 900


@pytest.mark.parametrize(
    "token",
    [
        forged(secret="another secret of sufficient length"),
        forged(algorithm="HS512"),
        forged(algorithm="none", secret=""),
        forged(aud="ws"),
        forged(iss="somebody"),
        forged(exp=None),
        forged(dev=None),
        forged(sub="root"),
        "",
        "a.b.c",
    ],
)
def test_what_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        tokens.check(token)
    assert not isinstance(caught.value, TokenExpired)


def test_an_expired_token_is_told_apart() -> None:
    with pytest.raises(TokenExpired) as caught:
        tokens.check(tokens.mint(UserId(1), DeviceId(2), time.time() - 900 - LEEWAY_S - 5))
    assert caught.value.close_code == 4402


def test_a_ws_token_is_of_its_own_audience_lives_a_minute_and_lends_the_access_token_s_life() -> None:
    now = time.time()
    identity = Identity(UserId(1), DeviceId(2), now + 900)
    token = tokens.mint_ws(identity, now)
    with pytest.raises(Unauthenticated):
        tokens.check(token)
    with pytest.raises(Unauthenticated):
        tokens.check_ws(tokens.mint(UserId(1), DeviceId(2), now))
    checked = tokens.check_ws(token)
    assert checked.identity == identity
    assert checked.burn_until - now <= WS_TOKEN_TTL_S
    assert checked.jti != tokens.check_ws(tokens.mint_ws(identity, now)).jti
    with pytest.raises(TokenExpired):
        tokens.check_ws(tokens.mint_ws(identity, now - WS_TOKEN_TTL_S - LEEWAY_S - 5))
