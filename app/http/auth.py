"""Registering, signing in, refreshing, signing out, and single-use WebSocket tokens."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, Response
from msgspec import Meta

from app.config import Config
from app.domain.people import DeviceType
from app.errors import Conflict, TooMany, Unauthenticated, Unavailable
from app.http.base import answer, body, caller, client_address, note_probe, require_prober
from app.http.contract import operation
from app.services.accounts import Accounts, SignedIn
from app.services.throttle import Throttle
from app.services.tokens import WS_TOKEN_TTL_S

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{1,63}\Z")]  # not $: that lets a newline pass
_Password = Annotated[str, Meta(min_length=10, max_length=256)]
DeviceName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class Device(msgspec.Struct, forbid_unknown_fields=True):
    """What the device that signs in calls itself."""

    type: DeviceType = "WEB"
    name: DeviceName = "unnamed"


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """Body of login."""

    name: _Name
    password: _Password
    device: Device = msgspec.field(default_factory=Device)


class Registration(Credentials, forbid_unknown_fields=True):
    """Body of register. `probe`: of the monitoring, and none of the users; needs PROBE_TOKEN as bearer."""

    probe: bool = False


class RefreshToken(msgspec.Struct, forbid_unknown_fields=True):
    """Body of refresh."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=128)]


class WsToken(msgspec.Struct):
    """A single-use token for the query of a WebSocket URL; `expires_in` in seconds."""

    token: str
    expires_in: int


def blueprint(accounts: Accounts, throttle: Throttle, config: Config) -> Blueprint:
    """`/auth/…`"""
    bp = Blueprint("auth", __name__, url_prefix="/auth")

    def _known(signed_in: SignedIn) -> Response:
        note_probe(accounts.is_probe(signed_in.user))
        return tokens_answer(signed_in)

    @bp.post("/register")
    @operation(
        who="anybody",
        takes=Registration,
        gives=SignedIn,
        status=201,
        errors=(Unauthenticated, Conflict, TooMany, Unavailable),
    )
    def register() -> Response:
        """A new person with a first device; a probe of the monitoring only with PROBE_TOKEN as bearer."""
        throttle.spend(f"address:{client_address(config)}")
        form = body(Registration)
        if form.probe:
            require_prober(config)
            note_probe(True)
        device = form.device
        return tokens_answer(
            accounts.register(form.name, form.password, device.type, device.name, probe=form.probe), status=201
        )

    @bp.post("/login")
    @operation(who="anybody", takes=Credentials, gives=SignedIn, errors=(Unauthenticated, TooMany, Unavailable))
    def login() -> Response:
        """A new device of a person."""
        form = body(Credentials)
        throttle.spend(f"address:{client_address(config)}", f"name:{form.name}")
        return _known(accounts.login(form.name, form.password, form.device.type, form.device.name))

    @bp.post("/refresh")
    @operation(who="anybody", takes=RefreshToken, gives=SignedIn, errors=(Unauthenticated, Unavailable))
    def refresh() -> Response:
        """New tokens for a refresh token, which works once."""
        return _known(accounts.refresh(body(RefreshToken).refresh_token))

    @bp.post("/logout")
    @operation(status=204)
    def logout() -> Response:
        """End this device's refresh tokens."""
        accounts.logout(caller(accounts))
        return Response(status=204)

    @bp.post("/ws-token")
    @operation(gives=WsToken)
    def ws_token() -> Response:
        """A single-use token for the query of a WebSocket URL."""
        return answer(WsToken(accounts.ws_token(caller(accounts)), WS_TOKEN_TTL_S))

    return bp


def tokens_answer(signed_in: SignedIn, status: int = 200) -> Response:
    """New tokens, which nobody on the way may keep."""
    response = answer(signed_in, status)
    response.headers["Cache-Control"] = "no-store"
    return response
