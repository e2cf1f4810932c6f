"""Conversations: who talks with whom. Joining and leaving are rows of the log, like messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.domain.ids import ConversationId, UserId
from app.domain.log import Entry, Kind
from app.errors import InvalidRequest, NotFound
from app.store import accounts, conversations, messages
from app.store.conversations import Summary
from app.store.db import Connection, Database

MAX_MEMBERS = 10_000
LIST_SIZE = 96
"""Of pictures in a list, in pixels."""

Announce = Callable[[Sequence[Entry]], None]
"""Takes what was committed to those who are connected; the realtime side's part."""


class Conversations:
    """Creating, listing, joining, leaving."""

    def __init__(self, db: Database, announce: Announce, avatar_address: Callable[[str, int], str]) -> None:
        """`avatar_address` says where the picture of a name is, in a size."""
        self._db = db
        self._announce = announce
        self._avatar_address = avatar_address

    def create(self, creator: UserId, title: str | None, names: Sequence[str]) -> ConversationId:
        """A conversation of its creator and the people called `names`.

        Raises InvalidRequest that names those who do not exist, or when some are probes and some are not.
        """
        with self._db.transaction() as conn:
            users = [creator, *(u for u in self._existing(conn, names) if u != creator)]
            self._require_one_kind(conn, users)
            conv = conversations.create(conn, title, len(users))
            conversations.add_members(conn, conv, users, 1)
            entries = messages.append_membership(conn, conv, Kind.JOINED, users, 1, time.time())
        self._announce(entries)
        return conv

    def of_user(self, user: UserId) -> list[Summary]:
        """Every conversation `user` is in, with the addresses of its people's pictures."""
        with self._db.transaction() as conn:
            found = conversations.of_user(conn, user)
        return [
            replace(one, avatars=[name and self._avatar_address(name, LIST_SIZE) for name in one.avatars])
            for one in found
        ]

    def add_members(self, actor: UserId, conv: ConversationId, names: Sequence[str]) -> None:
        """Let people in; they see the log from here on. Raises NotFound, InvalidRequest,
        or Conflict when one of them is a member already.
        """
        with self._db.transaction() as conn:
            self._lock(conn, conv, actor)
            users = self._existing(conn, names)
            self._require_one_kind(conn, [actor, *users])
            first = conversations.advance(conn, conv, len(users)) - len(users) + 1
            conversations.add_members(conn, conv, users, first)
            entries = messages.append_membership(conn, conv, Kind.JOINED, users, first, time.time())
        self._announce(entries)

    def leave(self, user: UserId, conv: ConversationId) -> None:
        """Go; the log stays readable up to the row that says so. Raises NotFound."""
        with self._db.transaction() as conn:
            self._lock(conn, conv, user)
            seq = conversations.advance(conn, conv, 1)
            conversations.end_membership(conn, conv, user, seq)
            entries = messages.append_membership(conn, conv, Kind.LEFT, [user], seq, time.time())
        self._announce(entries)

    @staticmethod
    def _lock(conn: Connection, conv: ConversationId, user: UserId) -> None:
        if not conversations.lock_as_member(conn, conv, user):
            raise NotFound("there is no such conversation, or you are not in it")

    @staticmethod
    def _require_one_kind(conn: Connection, users: Sequence[UserId]) -> None:
        """No user ever meets a probe, and what is counted of a conversation is all of one kind."""
        if accounts.are_mixed(conn, users):
            problem = "probes of the monitoring and people cannot be in one conversation"
            raise InvalidRequest(problem, [{"field": "members", "problem": problem}])

    @staticmethod
    def _existing(conn: Connection, names: Sequence[str]) -> list[UserId]:
        """The ids for `names`, in their order, each once; raises InvalidRequest for those unknown."""
        known = accounts.find_users(conn, names)
        unknown = [name for name in names if name not in known]
        if unknown:
            problem = f"no such people: {', '.join(sorted(unknown))}"
            raise InvalidRequest(problem, [{"field": "members", "problem": problem}])
        return list(dict.fromkeys(known[name] for name in names))
