"""Conversations and their members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.ids import ConversationId, UserId
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("conversations").rows


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation as its list shows it; `head` is the highest seq, `read` the reader's marker, `users` the ids of
    `members`, and `reads` how far each of them has read (0: nothing), and `avatars` names of their pictures.
    """

    id: ConversationId
    title: str | None
    head: int
    from_seq: int
    read: int
    members: list[str]
    users: list[UserId]
    reads: list[int]
    avatars: list[str | None]


def create(conn: Connection, title: str | None, head: int) -> ConversationId:
    """A new conversation whose first `head` log rows the caller writes in this transaction."""
    return ConversationId(_rows(conn, "create", title=title, head=head)[0][0])


def add_members(conn: Connection, conv: ConversationId, users: Sequence[UserId], from_seq: int) -> None:
    """Members from `from_seq` on; who is one already fails as a unique violation."""
    _rows(conn, "add_members", conv=conv, users=list(users), from_seq=from_seq)


def lock_as_member(conn: Connection, conv: ConversationId, user: UserId) -> bool:
    """Hold the conversation until the transaction ends; False when `user` is no member."""
    _rows(conn, "lock", conv=conv)
    return is_member(conn, conv, user)


def is_member(conn: Connection, conv: ConversationId, user: UserId) -> bool:
    """Whether `user` is in it now."""
    return bool(_rows(conn, "is_member", conv=conv, user=user))


def advance(conn: Connection, conv: ConversationId, by: int) -> int:
    """Take the next `by` numbers; returns the new head."""
    head: int = _rows(conn, "advance", conv=conv, by=by)[0][0]
    return head


def end_membership(conn: Connection, conv: ConversationId, user: UserId, to_seq: int) -> None:
    """The member sees nothing past `to_seq`."""
    _rows(conn, "end_membership", conv=conv, user=user, to_seq=to_seq)


def of_user(conn: Connection, user: UserId) -> list[Summary]:
    """Every conversation `user` is in."""
    return [Summary(*row) for row in _rows(conn, "list", user=user)]
