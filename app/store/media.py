"""Attachments: who may see them, uploads under way; and avatars."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.ids import ConversationId, UserId
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("media").rows


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way; sizes in bytes, `handle` is the storage's name for it."""

    id: int
    user: UserId
    conv: ConversationId
    sha256: str
    size: int
    received: int
    handle: str


def is_member(conn: Connection, conv: ConversationId, user: UserId) -> bool:
    """Whether `user` is in the conversation now."""
    return bool(_rows(conn, "is_member", conv=conv, user=user))


def used_today(conn: Connection, user: UserId) -> tuple[int, int]:
    """(uploads under way, bytes uploaded within a day or under way)."""
    uploads, size = _rows(conn, "used_today", user=user)[0]
    return uploads, size


def begin(conn: Connection, user: UserId, conv: ConversationId, sha256: str, size: int, handle: str) -> int:
    """A new upload; its id."""
    upload: int = _rows(conn, "begin", user=user, conv=conv, sha256=sha256, size=size, handle=handle)[0][0]
    return upload


def upload(conn: Connection, upload_id: int, user: UserId) -> Upload | None:
    """An upload of `user`."""
    rows = _rows(conn, "upload", upload=upload_id, user=user)
    return Upload(*rows[0]) if rows else None


def advance(conn: Connection, upload_id: int, start: int, to: int) -> bool:
    """What goes up to `to` is stored; False when the upload was not at `start`."""
    return bool(_rows(conn, "advance", upload=upload_id, to=to, **{"from": start}))


def drop(conn: Connection, upload_id: int) -> bool:
    """The upload is over; False when it was before."""
    return bool(_rows(conn, "drop", upload=upload_id))


def add(conn: Connection, done: Upload) -> None:
    """What was uploaded is stored, and members of its conversation may see it."""
    _rows(conn, "add", sha256=done.sha256, size=done.size)
    _rows(conn, "share", sha256=done.sha256, conv=done.conv, user=done.user)


def size_for(conn: Connection, sha256: str, user: UserId) -> int | None:
    """Size of an attachment; None when there is none, or `user` may not see it."""
    rows = _rows(conn, "seen_by", sha256=sha256, user=user)
    return rows[0][0] if rows else None


def size(conn: Connection, sha256: str) -> int | None:
    """Size of an attachment, for those who hold a signed address of it."""
    rows = _rows(conn, "size", sha256=sha256)
    return rows[0][0] if rows else None


def take_stale(conn: Connection) -> list[str]:
    """Drop uploads that nobody has finished within a day; what the storage calls them."""
    return [row[0] for row in _rows(conn, "stale")]


def set_avatar(conn: Connection, user: UserId, avatar: str | None) -> None:
    """The avatar of a person is this one now."""
    _rows(conn, "set_avatar", user=user, avatar=avatar)


def avatar(conn: Connection, user: UserId, caller: UserId) -> str | None:
    """The avatar of somebody who shares a conversation with the caller, or of the caller."""
    rows = _rows(conn, "avatar", user=user, caller=caller)
    return rows[0][0] if rows else None
