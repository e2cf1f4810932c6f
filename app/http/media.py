"""Attachments in chunks and by range, avatars in their sizes."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta
from werkzeug.http import parse_range_header

from app.domain.ids import ConversationId, UserId
from app.errors import (
    Conflict,
    DeviceRevoked,
    Forbidden,
    InvalidRequest,
    NotFound,
    TokenExpired,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from app.http.base import answer, body, caller
from app.http.contract import operation
from app.services.accounts import Accounts
from app.services.media import Address, Media, Stored, UploadProgress
from app.services.pictures import SIZES

MAX_AVATAR_BYTES = 5 * 1024 * 1024
BODY_S = 60.0
"""A chunk that takes longer than this to arrive is given up; the client goes on from the offset."""
YEAR_S = 31_536_000
Offset = Annotated[int, Meta(ge=0, lt=2**53)]
Size = Annotated[int, Meta(extra_json_schema={"enum": list(SIZES)})]
_PARTS = {206: "A range of it.", 304: "The caller has it.", 416: "There is no such range."}
_ID = "<regex('[0-9a-f]{64}'):sha256>"


class NewUpload(msgspec.Struct, forbid_unknown_fields=True):
    """Body of begin: what will be uploaded; `sha256` in hex."""

    conv: Annotated[int, Meta(ge=1, lt=2**53)]
    size_bytes: Annotated[int, Meta(ge=1, lt=2**53)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class AvatarSet(msgspec.Struct):
    """The new avatar's name, and where it is."""

    avatar: str
    url: str


class AvatarAddress(msgspec.Struct):
    """Where an avatar is."""

    url: str


def blueprint(accounts: Accounts, media: Media) -> Blueprint:
    """`/api/media…`, `/api/avatar`, `/media/…`"""
    bp = Blueprint("media", __name__)

    @bp.post("/api/media/uploads")
    @operation(takes=NewUpload, gives=UploadProgress, status=201, errors=(NotFound, TooMany))
    def begin() -> Response:
        """Begin an upload."""
        user = caller(accounts).user
        form = body(NewUpload)
        return answer(media.begin(user, ConversationId(form.conv), form.size_bytes, form.sha256), 201)

    @bp.get("/api/media/uploads/<id:upload>")
    @operation(gives=UploadProgress, errors=(NotFound,))
    def progress(upload: int) -> Response:
        """How far an upload is."""
        return answer(media.progress(caller(accounts).user, upload))

    @bp.put("/api/media/uploads/<id:upload>")
    @operation(takes=bytes, gives=UploadProgress, query={"offset": Offset}, errors=(NotFound, Conflict))
    def chunk(upload: int) -> Response:
        """The next chunk of an upload."""
        user = caller(accounts).user
        known, size = media.expect(user, upload, _number("offset"))
        if request.content_length != size:
            raise InvalidRequest(f"the next chunk has exactly {size} bytes (Content-Length)")
        if not media.turns.acquire(timeout=BODY_S):
            raise Unavailable("too many uploads at once; go on in a moment")
        try:
            return answer(media.take(known, _read_body(size)))
        finally:
            media.turns.release()

    @bp.get(f"/api/media/{_ID}")
    @operation(gives=Address, errors=(NotFound,))
    def address(sha256: str) -> Response:
        """A signed address of an attachment."""
        return answer(media.address_for(caller(accounts).user, sha256, time.time()))

    @bp.get(f"/media/{_ID}")
    @operation(
        who="anybody",
        gives=bytes,
        optional={"e": str, "s": str},
        errors=(Forbidden, NotFound, Unauthenticated, TokenExpired, DeviceRevoked, Unavailable),
        more=_PARTS,
    )
    def read(sha256: str) -> Response:
        """An attachment, or a range of it: with `e` and `s` of its address, or a member's token."""
        if "Authorization" in request.headers:
            stored, cache = media.seen_by(caller(accounts).user, sha256), "private"
        else:
            expires_at, signature = request.args.get("e", ""), request.args.get("s", "")
            stored, cache = media.signed(sha256, expires_at, signature, time.time()), "public"
        response = _bytes(media, stored, "application/octet-stream", cache)
        response.headers["Content-Disposition"] = "attachment"
        return response

    @bp.put("/api/avatar")
    @operation(takes=bytes, gives=AvatarSet)
    def set_avatar() -> Response:
        """The caller's new avatar."""
        user = caller(accounts).user
        size = request.content_length or 0
        if size > MAX_AVATAR_BYTES:
            raise TooLarge(f"a picture may have at most {MAX_AVATAR_BYTES} bytes")
        name = media.set_avatar(user, _read_body(size))
        return answer(AvatarSet(name, media.avatar_address(name, 192)))

    @bp.delete("/api/avatar")
    @operation(status=204)
    def remove_avatar() -> Response:
        """No avatar any more."""
        media.remove_avatar(caller(accounts).user)
        return Response(status=204)

    @bp.get("/api/users/<id:user>/avatar")
    @operation(gives=AvatarAddress, optional={"size": Size}, errors=(NotFound, InvalidRequest))
    def avatar_of(user: int) -> Response:
        """Where the avatar of somebody is, in one of the sizes (`size`, else 192)."""
        asking = caller(accounts).user
        return answer(AvatarAddress(media.avatar_of(UserId(user), asking, _number("size", 192))))

    @bp.get(f"/media/avatars/{_ID}-<id:size>.webp")
    @operation(who="anybody", gives=bytes, media_type="image/webp", errors=(NotFound, Unavailable), more=_PARTS)
    def avatar(sha256: str, size: int) -> Response:
        """An avatar in one of the sizes."""
        return _bytes(media, media.avatar(sha256, size), "image/webp", "public")

    return bp


def _number(name: str, default: int | None = None) -> int:
    text = request.args.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidRequest(f"{name}: must be a whole number", [{"field": name, "problem": "is no whole number"}])
    return int(text)


def _read_body(size: int) -> bytes:
    request.max_content_length = max(size, 1)  # 0 would refuse an empty body, too
    data = request.get_data(cache=False)
    if len(data) != size:
        raise InvalidRequest(f"the body ended after {len(data)} of {size} bytes")
    return data


def _bytes(media: Media, stored: Stored, mimetype: str, cache: str) -> Response:
    """All of it, a range of it (RFC 9110, section 14), or 304. What is stored under a name never changes."""
    whole = stored.size_bytes
    start, stop, status = 0, whole, 200
    wanted = parse_range_header(request.headers.get("Range"), make_inclusive=False)
    if_range = request.if_range
    stale = if_range.date is not None or (if_range.etag is not None and if_range.etag != stored.name)
    if request.if_none_match.contains(stored.name):
        status = 304
    elif wanted is not None and wanted.units == "bytes" and len(wanted.ranges) == 1 and not stale:
        part = wanted.range_for_length(whole)
        status = 206 if part else 416
        start, stop = part or (0, 0)
    sends = status in (200, 206) and request.method == "GET"
    response = Response(media.read(stored, start, stop) if sends else b"", status, mimetype=mimetype)
    response.set_etag(stored.name)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = f"{cache}, max-age={YEAR_S}, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if status in (200, 206):
        response.content_length = stop - start
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{whole}"
    elif status == 416:
        response.headers["Content-Range"] = f"bytes */{whole}"
        response.headers["Cache-Control"] = "no-store"
    return response
