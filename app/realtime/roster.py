"""Every connection of a node, spread over the slots of a timing wheel: each second one slot has its turn."""

from __future__ import annotations

from collections.abc import Iterator

from app.realtime.connection import Connection

_OBJECT_BYTES = 64
"""Connections lie at least that far apart in memory, so their addresses fill the slots evenly."""


class Roster:
    """A set of connections that can be gone through a part at a time."""

    def __init__(self, slots: int) -> None:
        """`slots`: after so many turns every connection has had one."""
        self._slots: list[dict[Connection, None]] = [{} for _ in range(slots)]

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __iter__(self) -> Iterator[Connection]:
        for slot in self._slots:
            yield from tuple(slot)

    def add(self, conn: Connection) -> None:
        """A connection was made."""
        self._slot_of(conn)[conn] = None

    def discard(self, conn: Connection) -> None:
        """A connection is gone; harmless when it was not there."""
        self._slot_of(conn).pop(conn, None)

    def slot(self, turn: int) -> tuple[Connection, ...]:
        """Those whose turn it is."""
        return tuple(self._slots[turn % len(self._slots)])

    def _slot_of(self, conn: Connection) -> dict[Connection, None]:
        return self._slots[id(conn) // _OBJECT_BYTES % len(self._slots)]
