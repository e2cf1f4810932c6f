"""Where events leave after their commit: this node's sockets first, then the bus."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

from app.domain.ids import ConversationId, UserId
from app.domain.log import Entry
from app.protocol import wire
from app.realtime.bus import Bus, BusFrame, to_bus
from app.realtime.connection import Connection
from app.realtime.fanout import Fanout
from app.realtime.hub import Hub, Sequenced

Reply = tuple[Connection, bytes]


def sequenced(entry: Entry, owed: int = 0) -> Sequenced:
    """A row of the log with its frame built."""
    return Sequenced(entry.conv, entry.seq, entry.kind, entry.user, entry.ts, wire.entry_frame(entry), owed)


class Outlet:
    """Tells everybody, here and on other nodes. Never waits."""

    def __init__(self, hub: Hub, fanout: Fanout, bus: Bus, node: str) -> None:
        """`node` is this process's name on the bus."""
        self._hub = hub
        self._fanout = fanout
        self._bus = bus
        self._node = node

    def entries(self, entries: Sequence[Entry], owed: Sequence[int] = (), replies: Sequence[Reply] = ()) -> None:
        """Rows of the log that were just committed; `owed`: deliveries counted for each while it was overdue.

        `replies` go to single connections, together with what else those connections get of this.
        """
        events = [sequenced(entry, n) for entry, n in zip(entries, owed or repeat(0))]  # noqa: B905  repeat has no end
        with self._fanout.turn():
            for conn, frame in replies:
                self._fanout.reply(conn, frame)
            for event in events:
                self._hub.deliver(event)
        if events:
            self._bus.publish([to_bus(self._node, event) for event in events])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything told within the block leaves at its end, once a connection; it must not switch greenlets."""
        with self._fanout.turn():
            yield

    def aside(
        self, path: str, conv: ConversationId, event: wire.ServerEvent, ts: float, *, but: UserId | None = None
    ) -> None:
        """An event outside the log, to everybody who hears `conv` except user `but`."""
        frame = wire.frame(event)
        self._hub.to_conversation(path, conv, frame, ts, but=but)
        self._bus.publish([BusFrame(self._node, path, conv, 0, 0, but or 0, ts, frame)])

    def broadcast(self, body: str) -> tuple[str, int]:
        """A word to every connection of every node; returns its id and the connections of this node."""
        now = time.time()
        event = wire.Broadcast(str(uuid.uuid4()), now, body)
        frame = wire.frame(event)
        here = self._hub.to_all("broadcast", frame, now)
        self._bus.publish([BusFrame(self._node, "broadcast", 0, 0, 0, 0, now, frame)])
        return event.id, here
