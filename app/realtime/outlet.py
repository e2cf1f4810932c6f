"""Where events leave after their commit: this node's sockets first, then the bus."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import repeat

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Entry, Kind
from app.protocol import wire
from app.realtime.bus import Bus
from app.realtime.bus.handover import row
from app.realtime.bus.wire import Audience, BusFrame
from app.realtime.connection import Connection
from app.realtime.fanout import Fanout
from app.realtime.hub import Hub, Sequenced

Reply = tuple[Connection, bytes]


def sequenced(entry: Entry, owed: int = 0) -> Sequenced:
    """A row of the log with its frame built."""
    return Sequenced(entry.conv, entry.seq, entry.kind, entry.user, entry.ts, wire.entry_frame(entry), owed)


class Outlet:
    """Tells everybody, here and on other nodes. Never waits."""

    def __init__(self, hub: Hub, fanout: Fanout, bus: Bus) -> None:
        self._hub = hub
        self._fanout = fanout
        self._bus = bus

    def entries(self, entries: Sequence[Entry], owed: Sequence[int] = (), replies: Sequence[Reply] = ()) -> None:
        """Rows of the log that were just committed; `owed`: deliveries counted for each while it was overdue.

        `replies` go to single connections, together with what else those connections get of this.
        """
        events = [sequenced(entry, n) for entry, n in zip(entries, owed or repeat(0))]  # noqa: B905  repeat has no end
        with self.turn():
            for conn, frame in replies:
                self._fanout.reply(conn, frame)
            for event in events:
                self._hub.deliver(event)
        if events:
            self._bus.publish([row(event, probe=self._hub.is_of_probes(event.conv)) for event in events])

    def turn(self) -> AbstractContextManager[None]:
        """Everything told within the block leaves at its end, once a connection; it must not switch greenlets."""
        return self._fanout.turn()

    def read_mark(self, conv: ConversationId, user: UserId, seq: int, ts: float, reader: DeviceId, owed: int) -> None:
        """`user` has read through `seq`, as `reader` told this node at `ts`; `owed` as in `Hub.read_mark`."""
        frame = wire.frame(wire.ReadMark(conv, user, seq))
        if self._hub.read_mark(conv, user, seq, frame, ts, reader, owed):
            place = (Audience.CONVERSATION, conv, 0, Kind.MESSAGE, user, ts)
            self._bus.publish([BusFrame("read", *place, frame, seq, self._hub.is_of_probes(conv))])

    def owe_read_sync(self, conv: ConversationId, user: UserId, reader: DeviceId) -> int:
        """A marker is overdue: what is owed of it to the reader's other devices here, from now on counted."""
        return self._hub.owe_read_sync(conv, user, reader)

    def aside(
        self, path: str, conv: ConversationId, event: wire.ServerEvent, ts: float, *, but: UserId | None = None
    ) -> None:
        """An event outside the log, to everybody who hears `conv` except user `but`."""
        frame = wire.frame(event)
        self._hub.to_conversation(path, conv, frame, ts, but=but)
        place = (Audience.CONVERSATION, conv, 0, Kind.MESSAGE, but or 0, ts)
        self._bus.publish([BusFrame(path, *place, frame, probe=self._hub.is_of_probes(conv))])

    def broadcast(self, body: str) -> tuple[str, int]:
        """A word to every connection of every node; returns its id and the connections of this node."""
        now = time.time()
        event = wire.Broadcast(str(uuid.uuid4()), now, body)
        frame = wire.frame(event)
        here = self._hub.to_all("broadcast", frame, now)
        self._bus.publish([BusFrame("broadcast", Audience.EVERYBODY, 0, 0, Kind.MESSAGE, 0, now, frame)])
        return event.id, here
