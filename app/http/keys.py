"""Keys of devices and what devices send to devices, in the shapes of the Matrix client-server API.

So the encryption libraries of clients can be used as they are.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta

from app.domain.matrix import user_name
from app.errors import Conflict, InvalidRequest, TooMany
from app.http.base import answer, body, caller
from app.http.contract import operation
from app.protocol.wire import POSITION
from app.services.accounts import Accounts
from app.services.inbox import ToDevice
from app.services.keys import Keys

MAX_UPLOAD_BYTES = 256 * 1024
MAX_TO_DEVICE_BYTES = 1024 * 1024
_NAME = re.compile(r"[\x21-\x7e]{1,128}")

_Json = dict[str, Any]
_Named = Annotated[dict[str, _Json], Meta(max_length=1_000)]


class Upload(msgspec.Struct):
    """Body of upload. Fields of the Matrix API that mean nothing here are passed over."""

    device_keys: _Json | None = None
    one_time_keys: _Named | None = None
    fallback_keys: _Named | None = None


class Uploaded(msgspec.Struct):
    """How many one-time keys wait to be claimed, by algorithm."""

    one_time_key_counts: dict[str, int]


class Query(msgspec.Struct):
    """Body of query: user → devices, an empty list for all."""

    device_keys: dict[str, list[str]]


class Found(msgspec.Struct):
    """User → device → its signed keys."""

    device_keys: dict[str, dict[str, _Json]]
    failures: _Json = {}


class Wanted(msgspec.Struct):
    """Body of claim: user → device → algorithm."""

    one_time_keys: dict[str, dict[str, str]]


class Claimed(msgspec.Struct):
    """User → device → key name → key."""

    one_time_keys: dict[str, dict[str, _Json]]
    failures: _Json = {}


class Changed(msgspec.Struct):
    """Names of users whose devices changed, and of those who share no conversation any more."""

    changed: list[str]
    left: list[str]


class Messages(msgspec.Struct):
    """Body of to-device: user → device (or `*`) → content."""

    messages: dict[str, dict[str, _Json]]


class Sent(msgspec.Struct):
    """User → devices that got nothing: unknown, revoked, or of somebody who shares no conversation."""

    not_sent: dict[str, list[str]]


def blueprint(accounts: Accounts, keys: Keys, to_device: ToDevice) -> Blueprint:
    """`/api/keys/…` and `/api/to-device/…`"""
    bp = Blueprint("keys", __name__, url_prefix="/api")

    @bp.post("/keys/upload")
    @operation(takes=Upload, gives=Uploaded, errors=(Conflict,))
    def upload() -> Response:
        """Make this device's public keys known."""
        identity = caller(accounts)
        form = body(Upload, MAX_UPLOAD_BYTES)
        counts = keys.upload(identity, form.device_keys, form.one_time_keys or {}, form.fallback_keys or {})
        return answer(Uploaded(counts))

    @bp.post("/keys/query")
    @operation(takes=Query, gives=Found)
    def query() -> Response:
        """Identities of other devices."""
        identity = caller(accounts)
        return answer(Found(keys.query(identity, body(Query).device_keys)))

    @bp.post("/keys/claim")
    @operation(takes=Wanted, gives=Claimed, errors=(TooMany,))
    def claim() -> Response:
        """One key of each of these devices, to begin a session with."""
        identity = caller(accounts)
        return answer(Claimed(keys.claim(identity, body(Wanted).one_time_keys)))

    @bp.get("/keys/changes")
    @operation(gives=Changed, query={"from": Annotated[str, Meta(pattern=POSITION)]})
    def changes() -> Response:
        """Whose devices changed since the position of a `synced`."""
        identity = caller(accounts)
        since = request.args.get("from", "")
        if not re.match(POSITION, since):
            raise InvalidRequest("from: must be the position of a `synced`", [{"field": "from", "problem": "is none"}])
        changed, left = keys.changes(identity, since)
        return answer(Changed([user_name(user) for user in changed], [user_name(user) for user in left]))

    @bp.put("/to-device/<type_>/<txn>")
    @operation(takes=Messages, gives=Sent, errors=(TooMany,))
    def send(type_: str, txn: str) -> Response:
        """Send something to single devices; the same txn again sends nothing."""
        identity = caller(accounts)
        for field, value in (("type", type_), ("txn", txn)):
            if not _NAME.fullmatch(value):
                problem = "must be 1 to 128 printable ASCII characters without spaces"
                raise InvalidRequest(f"{field}: {problem}", [{"field": field, "problem": problem}])
        form = body(Messages, MAX_TO_DEVICE_BYTES)
        return answer(Sent(to_device.send(identity, type_, txn, form.messages)))

    return bp
