"""Registering, signing in, refreshing, signing out, and single-use WebSocket tokens."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, Response
from msgspec import Meta

from app.config import Config
from app.domain.people import DeviceType
from app.http.base import answer, body, caller, client_address
from app.services.accounts import Accounts, SignedIn
from app.services.throttle import Throttle
from app.services.tokens import WS_TOKEN_TTL_S

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{1,63}\Z")]  # not $: that lets a newline pass
_Password = Annotated[str, Meta(min_length=10, max_length=256)]
_DeviceName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class Device(msgspec.Struct, forbid_unknown_fields=True):
    """What the device that signs in calls itself."""

    type: DeviceType = "WEB"
    name: _DeviceName = "unnamed"


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """Body of register and login."""

    name: _Name
    password: _Password
    device: Device = msgspec.field(default_factory=Device)


class RefreshToken(msgspec.Struct, forbid_unknown_fields=True):
    """Body of refresh."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=128)]


def blueprint(accounts: Accounts, throttle: Throttle, config: Config) -> Blueprint:
    """`/auth/…`"""
    bp = Blueprint("auth", __name__, url_prefix="/auth")

    @bp.post("/register")
    def register() -> Response:
        throttle.spend(f"address:{client_address(config)}")
        form = body(Credentials)
        return _tokens(accounts.register(form.name, form.password, form.device.type, form.device.name), 201)

    @bp.post("/login")
    def login() -> Response:
        form = body(Credentials)
        throttle.spend(f"address:{client_address(config)}", f"name:{form.name}")
        return _tokens(accounts.login(form.name, form.password, form.device.type, form.device.name))

    @bp.post("/refresh")
    def refresh() -> Response:
        return _tokens(accounts.refresh(body(RefreshToken).refresh_token))

    @bp.post("/logout")
    def logout() -> Response:
        accounts.logout(caller(accounts))
        return Response(status=204)

    @bp.post("/ws-token")
    def ws_token() -> Response:
        return answer({"token": accounts.ws_token(caller(accounts)), "expires_in": WS_TOKEN_TTL_S})

    return bp


def _tokens(signed_in: SignedIn, status: int = 200) -> Response:
    response = answer(signed_in, status)
    response.headers["Cache-Control"] = "no-store"
    return response
