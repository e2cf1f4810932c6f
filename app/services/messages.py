"""Messages: committed in batches, read back in pages, acknowledged by cursors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Entry, Membership
from app.errors import Conflict, InvalidRequest, Unavailable
from app.store import devices, keys, messages
from app.store.db import Database
from app.store.devices import Admission, Newcomer
from app.store.messages import Committed, NewMessage, News, Stored, Want

RECEIPT_GROUP_LIMIT = 32
"""Larger conversations get no delivery receipts: they would cost more than the messages."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Whose devices or keys changed, who shares no conversation any more, and the person's own read markers."""

    changed: list[UserId]
    left: list[UserId]
    reads: list[tuple[ConversationId, int]]


class Messages:
    """The message path's transactions. `relaxed` is the pool for cursors and read markers."""

    def __init__(self, db: Database, relaxed: Database) -> None:
        self._db = db
        self._relaxed = relaxed

    def commit(self, batch: Sequence[NewMessage]) -> list[Committed | InvalidRequest]:
        """Store a batch in one call; one answer each.

        A row that the database refuses fails alone: the batch is halved until it is found.
        Raises Unavailable when nothing can be said of the batch; repeating it is safe.
        """
        try:
            return self._commit(batch)
        except Conflict:
            # Another node stored one of the ids meanwhile, for another conversation: now it is known.
            try:
                return self._commit(batch)
            except Conflict:
                raise Unavailable("the message could not be stored; send it again") from None

    def _commit(self, batch: Sequence[NewMessage]) -> list[Committed | InvalidRequest]:
        try:
            with self._db.statement() as conn:
                return list(messages.commit_sends(conn, batch))
        except InvalidRequest as refusal:
            if len(batch) == 1:
                return [refusal]
            middle = len(batch) // 2
            return self._commit(batch[:middle]) + self._commit(batch[middle:])

    def sign_in(self, newcomers: Sequence[Newcomer]) -> dict[DeviceId, Admission]:
        """What becomes of each of these devices, none of which is named twice; burns the single-use tokens."""
        with self._db.statement() as conn:
            return devices.sign_in(conn, newcomers)

    def memberships(self, user: UserId, device: DeviceId) -> list[Membership]:
        """What this device may see now."""
        with self._db.statement() as conn:
            return messages.memberships(conn, user, device)

    def pages(self, wants: Sequence[Want], limit: int) -> list[Entry]:
        """At most `limit` log entries for each wish."""
        with self._db.statement() as conn:
            return messages.pages(conn, wants, limit)

    def changes(self, user: UserId, since: str) -> Changes:
        """What happened to a person, besides their conversations' logs, at or past the log's position `since`."""
        with self._db.transaction() as conn:
            changed, left = keys.changes(conn, user, since)
            return Changes(changed, left, keys.own_reads(conn, user, since))

    def position(self) -> str:
        """Where the log is now."""
        with self._db.statement() as conn:
            return messages.position(conn)

    def poll(self, start: str) -> News:
        """What was committed at or past `start`."""
        with self._db.statement() as conn:
            return messages.poll(conn, start)

    def delivered(self, told: Sequence[Stored], epoch: str) -> list[tuple[ConversationId, UserId, int]]:
        """Move device cursors; returns the receipts worth telling (conversation, user, seq).

        One whose device or conversation is gone is passed over, like a refused row of `commit`.
        """
        try:
            with self._relaxed.statement() as conn:
                return messages.advance_cursors(conn, told, epoch, RECEIPT_GROUP_LIMIT)
        except InvalidRequest:
            if len(told) == 1:
                return []
            middle = len(told) // 2
            return self.delivered(told[:middle], epoch) + self.delivered(told[middle:], epoch)

    def read(
        self, told: Sequence[tuple[UserId, ConversationId, int, float]]
    ) -> list[tuple[UserId, ConversationId, int]]:
        """Move read markers (user, conversation, seq, received at); returns those that moved."""
        with self._relaxed.statement() as conn:
            return messages.advance_read(conn, told)
