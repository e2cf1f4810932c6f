"""Encrypted attachments and public avatars.

An attachment is opaque here: clients encrypt it. It comes in chunks, which any node takes and which go on after any
interruption; it exists once its SHA-256 is what was promised. Who sees it is decided by the conversations it was sent
to; who may, gets a signed address that a cache can keep (docs/adr/0021).
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import dataclass

from gevent.lock import BoundedSemaphore

from app.domain.ids import ConversationId, UserId
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound, TooLarge, TooMany
from app.metrics import Metrics
from app.services.pictures import FULL, SIZES, avatar_from, resized
from app.storage import PART_BYTES, Storage
from app.store import media
from app.store.db import Database
from app.store.media import Upload

MAX_OPEN_UPLOADS = 10
CHUNKS_AT_ONCE = 8
"""Chunks this node holds in memory at a time; others wait for their turn."""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far an upload is. `media` and `url` are set once it is whole; `expires_at` (Unix seconds) is the url's."""

    upload: int
    offset: int
    chunk_bytes: int
    media: str | None = None
    url: str | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where an attachment is read without a token, until `expires_at` (Unix seconds)."""

    url: str
    size_bytes: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that may be given out."""

    name: str
    size_bytes: int


class Media:
    """Uploading, and deciding who reads."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        secret: str,
        base_url: str,
        max_bytes: int,
        daily_bytes: int,
        metrics: Metrics,
    ) -> None:
        """`base_url` stands before `/media/…`: a CDN's, or empty for this server."""
        self._db = db
        self._storage = storage
        self._key = hmac.digest(secret.encode(), b"messenger media addresses", "sha256")
        self._base_url = base_url.rstrip("/")
        self._max_bytes = max_bytes
        self._daily_bytes = daily_bytes
        self.turns = BoundedSemaphore(CHUNKS_AT_ONCE)
        self._uploads = {
            outcome: metrics.counter("messenger_media_uploads_total", outcome) for outcome in ("stored", "refused")
        }
        self._bytes = {way: metrics.counter("messenger_media_bytes_total", way) for way in ("in", "out")}

    # --- uploading -----------------------------------------------------------------------------------

    def begin(self, user: UserId, conv: ConversationId, size: int, sha256: str) -> UploadProgress:
        """A new upload for a conversation. Raises NotFound, TooLarge or TooMany."""
        if size > self._max_bytes:
            raise TooLarge(f"an attachment may have at most {self._max_bytes} bytes")
        with self._db.transaction() as conn:
            if not media.is_member(conn, conv, user):
                raise NotFound("there is no such conversation, or you are not in it")
            under_way, used = media.used_today(conn, user)
        if under_way >= MAX_OPEN_UPLOADS:
            raise TooMany(f"{MAX_OPEN_UPLOADS} uploads are under way; finish one first")
        if used + size > self._daily_bytes:
            raise TooMany(f"at most {self._daily_bytes} bytes a day may be uploaded")
        handle = self._storage.begin()
        with self._db.transaction() as conn:
            upload = media.begin(conn, user, conv, sha256, size, handle)
        return UploadProgress(upload, 0, PART_BYTES)

    def progress(self, user: UserId, upload_id: int) -> UploadProgress:
        """How far an upload of this person is. Raises NotFound."""
        return UploadProgress(upload_id, self._own(user, upload_id).received, PART_BYTES)

    def expect(self, user: UserId, upload_id: int, offset: int) -> tuple[Upload, int]:
        """The upload, and how many bytes its next chunk must have. Raises NotFound, Conflict naming the offset."""
        upload = self._own(user, upload_id)
        if offset != upload.received:
            problem = f"the upload is at {upload.received}"
            raise Conflict(f"offset: {problem}", [{"field": "offset", "problem": problem}])
        return upload, min(PART_BYTES, upload.size - offset)

    def take(self, upload: Upload, chunk: bytes) -> UploadProgress:
        """Store the next chunk; the last one (or an empty one, where that was not answered) ends the upload.

        Raises InvalidRequest, and the upload is gone, where the digest is another one than promised; Conflict when
        somebody else brought this chunk meanwhile.
        """
        reached = upload.received + len(chunk)
        if chunk:
            self._storage.put_part(upload.handle, upload.received // PART_BYTES + 1, chunk)
            self._bytes["in"].add(len(chunk))
            with self._db.transaction() as conn:
                if not media.advance(conn, upload.id, upload.received, reached):
                    raise Conflict("this chunk was brought by somebody else")
        if reached < upload.size:
            return UploadProgress(upload.id, reached, PART_BYTES)
        return self._finish(upload)

    def _finish(self, upload: Upload) -> UploadProgress:
        parts = -(-upload.size // PART_BYTES)
        fits = self._storage.finish(upload.handle, parts, upload.sha256, upload.sha256)
        with self._db.transaction() as conn:
            media.drop(conn, upload.id)
            if fits:
                media.add(conn, upload)
        self._uploads["stored" if fits else "refused"].add()
        if not fits:
            raise InvalidRequest("sha256: is not that of what was uploaded; the upload was discarded")
        address = self.address(upload.sha256, upload.size, time.time())
        return UploadProgress(upload.id, upload.size, PART_BYTES, upload.sha256, address.url, address.expires_at)

    def _own(self, user: UserId, upload_id: int) -> Upload:
        with self._db.transaction() as conn:
            upload = media.upload(conn, upload_id, user)
        if upload is None:
            raise NotFound("there is no such upload, or it is not yours")
        return upload

    # --- reading -------------------------------------------------------------------------------------

    def address_for(self, user: UserId, sha256: str, now: float) -> Address:
        """A signed address, for members of a conversation it was sent to. Raises NotFound."""
        return self.address(sha256, self.seen_by(user, sha256).size_bytes, now)

    def address(self, sha256: str, size: int, now: float) -> Address:
        """The address is the same for everybody within a day, so that a cache keeps one copy."""
        expires_at = (int(now) // DAY_S + 2) * DAY_S
        url = f"{self._base_url}/media/{sha256}?e={expires_at}&s={self._signature(sha256, expires_at)}"
        return Address(url, size, expires_at)

    def seen_by(self, user: UserId, sha256: str) -> Stored:
        """The attachment, when this person may see it. Raises NotFound."""
        with self._db.transaction() as conn:
            size = media.size_for(conn, sha256, user)
        if size is None:
            raise NotFound("there is no such attachment, or it is not yours to see")
        return Stored(sha256, size)

    def signed(self, sha256: str, expires_at: str, signature: str, now: float) -> Stored:
        """The attachment of a signed address. Raises Forbidden or NotFound."""
        until = int(expires_at) if expires_at.isascii() and expires_at.isdigit() and len(expires_at) < 13 else 0
        if not hmac.compare_digest(self._signature(sha256, until).encode(), signature.encode()) or until < now:
            raise Forbidden("this address is not valid any more; ask for a new one")
        with self._db.transaction() as conn:
            size = media.size(conn, sha256)
        if size is None:
            raise NotFound("there is no such attachment")
        return Stored(sha256, size)

    def read(self, stored: Stored, start: int, stop: int) -> Iterator[bytes]:
        """A range of what may be given out."""
        for piece in self._storage.read(stored.name, start, stop):
            self._bytes["out"].add(len(piece))
            yield piece

    def _signature(self, sha256: str, expires_at: int) -> str:
        return hmac.new(self._key, f"{sha256}:{expires_at}".encode(), hashlib.sha256).hexdigest()

    # --- avatars -------------------------------------------------------------------------------------

    def set_avatar(self, user: UserId, picture: bytes) -> str:
        """A new avatar; its name. Raises InvalidRequest."""
        made = avatar_from(picture)
        name = hashlib.sha256(made).hexdigest()
        self._storage.write(_variant(name, FULL), made)
        with self._db.transaction() as conn:
            media.set_avatar(conn, user, name)
        return name

    def remove_avatar(self, user: UserId) -> None:
        """No avatar any more."""
        with self._db.transaction() as conn:
            media.set_avatar(conn, user, None)

    def avatar_of(self, user: UserId, caller: UserId, size: int) -> str:
        """The public address of somebody's avatar. Raises NotFound, InvalidRequest for a size that is not given out."""
        if size not in SIZES:
            raise InvalidRequest(f"size: is one of {', '.join(map(str, SIZES))}")
        with self._db.transaction() as conn:
            name = media.avatar(conn, user, caller)
        if name is None:
            raise NotFound("there is no avatar")
        return self.avatar_address(name, size)

    def avatar_address(self, name: str, size: int) -> str:
        """Where an avatar is read by everybody."""
        return f"{self._base_url}/media/avatars/{name}-{size}.webp"

    def avatar(self, name: str, size: int) -> Stored:
        """An avatar in this size, made when it is asked for first. Raises NotFound."""
        variant = _variant(name, size)
        length = self._storage.size(variant)
        if length is None and size != FULL and size in SIZES:
            full = self._storage.size(_variant(name, FULL))
            if full is not None:
                whole = b"".join(self._storage.read(_variant(name, FULL), 0, full))
                self._storage.write(variant, resized(whole, size))
                length = self._storage.size(variant)
        if length is None:
            raise NotFound("there is no such avatar")
        return Stored(variant, length)

    def sweep(self) -> None:
        """Housekeeping: drop uploads that nobody has finished within a day."""
        with self._db.transaction() as conn:
            stale = media.take_stale(conn)
        for handle in stale:
            self._storage.discard(handle)


def _variant(name: str, size: int) -> str:
    return f"{name}-{size}.webp"
