"""Linking a new device with a signed-in one."""

from __future__ import annotations

import io
from typing import Annotated

import msgspec
import segno
from flask import Blueprint, Response
from msgspec import Meta

from app.config import Config
from app.errors import (
    Conflict,
    LinkExpired,
    LinkRefused,
    LinkUnknown,
    LinkUsed,
    LinkWaiting,
    NotFound,
    TooMany,
    Unavailable,
)
from app.http.auth import Device, tokens_answer
from app.http.base import answer, body, caller, client_address, note_probe
from app.http.contract import operation
from app.services.accounts import Accounts, SignedIn
from app.services.links import Claim, LinkProgress, Links
from app.services.throttle import Throttle

_Token = Annotated[str, Meta(min_length=1, max_length=128)]


class Offered(msgspec.Struct):
    """What the signed-in device shows. Times in Unix seconds, `expires_in` in seconds by the server's clock."""

    link: int
    payload: str
    code: str
    qr_svg: str
    expires_at: float
    expires_in: int


class Claiming(msgspec.Struct, forbid_unknown_fields=True):
    """Body of claim: the scanned `payload` or the typed `code`, what the new device is, and its public key."""

    device: Device
    payload: Annotated[str, Meta(max_length=256)] | None = None
    code: Annotated[str, Meta(max_length=64)] | None = None
    key: Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9+/=_-]*\Z")] = ""


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    """Body of confirm."""

    accept: bool


class Collecting(msgspec.Struct, forbid_unknown_fields=True):
    """Body of collect."""

    claim_token: _Token


def blueprint(accounts: Accounts, links: Links, throttle: Throttle, config: Config) -> Blueprint:
    """`/api/links…`; `throttle` counts what somebody without a token may try, by address."""
    bp = Blueprint("links", __name__, url_prefix="/api/links")

    @bp.post("")
    @operation(gives=Offered, status=201, errors=(TooMany,))
    def offer() -> Response:
        """Offer a link for a new device."""
        made = links.offer(caller(accounts))
        offered = Offered(made.link, made.payload, made.code, qr_svg(made.payload), made.expires_at, made.expires_in)
        return _unstored(answer(offered, 201))

    @bp.get("/<id:link>")
    @operation(gives=LinkProgress, errors=(NotFound,))
    def progress(link: int) -> Response:
        """How far a link of this device is."""
        return answer(links.progress(caller(accounts), link))

    @bp.post("/<id:link>/confirm")
    @operation(takes=Decision, status=204, errors=(NotFound, Conflict, LinkExpired, LinkUsed))
    def confirm(link: int) -> Response:
        """Let the new device in, or not."""
        identity = caller(accounts)
        links.decide(identity, link, body(Decision).accept)
        return Response(status=204)

    @bp.post("/claim")
    @operation(
        who="anybody",
        takes=Claiming,
        gives=Claim,
        status=201,
        errors=(LinkUnknown, LinkExpired, LinkUsed, TooMany, Unavailable),
    )
    def claim() -> Response:
        """Ask to be let in, by a scanned payload or a typed code."""
        throttle.spend(f"link:{client_address(config)}")
        form = body(Claiming)
        made = links.claim(form.payload, form.code, form.device.type, form.device.name, form.key)
        return _unstored(answer(made, 201))

    @bp.post("/collect")
    @operation(
        who="anybody",
        takes=Collecting,
        gives=SignedIn,
        status=201,
        errors=(LinkUnknown, LinkExpired, LinkUsed, LinkWaiting, LinkRefused, TooMany, Unavailable),
    )
    def collect() -> Response:
        """Be signed in after the other device has confirmed."""
        throttle.spend(f"collect:{client_address(config)}")
        signed_in = links.collect(body(Collecting).claim_token)
        note_probe(accounts.is_probe(signed_in.user))
        return tokens_answer(signed_in, 201)

    return bp


def qr_svg(payload: str) -> str:
    """The payload as an SVG image of a QR code, black on white in any theme, with the quiet zone a scanner needs."""
    image = io.BytesIO()
    segno.make(payload, error="m", micro=False).save(
        image, kind="svg", scale=6, border=4, dark="#000", light="#fff", xmldecl=False, title="Link a device"
    )
    return image.getvalue().decode()


def _unstored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
