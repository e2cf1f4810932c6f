"""Who listens to what on this node, and handing them frames, in order.

The hub keeps `head` for each conversation that has a local listener: an entry at or below it
is a duplicate and dropped, head + 1 is delivered, a later one is held until what lies between
arrives (from the bus, or from the log within its next poll). So nothing reaches a socket out of
order, twice or with a hole. A live listener has, by invariant, everything through `head`. A session
that still catches up (`behind`) is sent nothing live: its pages bring everything. One whose pages
reached further than the bus has told (`ahead`) is sent nothing until the head is where it is.

`deliver` never waits for a socket: a slow listener fills its own queue and is closed by its own
connection. All methods run on the loop's thread and do not switch greenlets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Kind
from app.metrics import PATHS, Metrics
from app.realtime.connection import Connection
from app.realtime.faults import Faults

MAX_HELD = 1_000
"""Entries of one conversation that may wait for an earlier one; beyond it they are left to the log."""
UNKNOWN = -1
"""The head of a conversation whose first listener has not read its log yet."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A row of a conversation's log, ready for sockets.

    `ts` is when the server received it; `owed` counts deliveries that were counted as owed
    while its commit was overdue.
    """

    conv: ConversationId
    seq: int
    kind: Kind
    user: UserId
    ts: float
    frame: bytes
    owed: int = 0


@dataclass(slots=True, eq=False)
class Session:
    """A signed-in connection. `behind`: conversations it still catches up with; `ahead`: highest seq it was sent."""

    conn: Connection
    user: UserId
    device: DeviceId
    expires_at: float
    since: float
    convs: set[ConversationId] = field(default_factory=set)
    behind: set[ConversationId] = field(default_factory=set)
    ahead: dict[ConversationId, int] = field(default_factory=dict)
    allowance: float = 0.0  # sends this device may still make now
    allowance_at: float = 0.0


@dataclass(slots=True)
class Topic:
    """One conversation with listeners here; `seen` is the highest seq heard of while the head is unknown."""

    head: int = UNKNOWN
    seen: int = UNKNOWN
    listeners: set[Session] = field(default_factory=set)
    held: dict[int, Sequenced] | None = None


class Hub:
    """The registry of one node."""

    def __init__(self, metrics: Metrics, faults: Faults) -> None:
        self._topics: dict[ConversationId, Topic] = {}
        self._by_user: dict[UserId, set[Session]] = {}
        self._by_device: dict[DeviceId, Session] = {}
        self._faults = faults
        self._owed = {path: metrics.counter("messenger_fanout_owed_total", path) for path in PATHS}
        self._latency = {path: metrics.histogram("messenger_fanout_latency_seconds", path) for path in PATHS}
        self._write = {path: metrics.histogram("messenger_fanout_stage_seconds", path, "write") for path in PATHS}
        self._skew = metrics.counter("messenger_fanout_clock_skew_total")
        self._displaced = metrics.counter("messenger_sessions_displaced_total")
        self.let_in: Callable[[Session, ConversationId, int], None] = lambda _session, _conv, _after: None
        """Called when a session was let into a conversation and must catch up from there; set by the joiner."""

    # --- who is here ---------------------------------------------------------------------------------

    def attach(self, session: Session) -> bool:
        """A device is here. Of two connections of one device the older is displaced (4409).

        False when that is this one: signing in may be overtaken by a newer connection.
        """
        other = self._by_device.get(session.device)
        if other is not None:
            self._displaced.add()
            older = min(other, session, key=lambda s: s.conn.number)
            self.detach(older)
            older.conn.close(4409, "this device connected anew")
            if older is session:
                return False
        self._by_device[session.device] = session
        self._by_user.setdefault(session.user, set()).add(session)
        return True

    def detach(self, session: Session) -> None:
        """A device is gone; harmless when it was gone before."""
        for conv in tuple(session.convs):
            self.unsubscribe(session, conv)
        if self._by_device.get(session.device) is session:
            del self._by_device[session.device]
        of_user = self._by_user.get(session.user)
        if of_user is not None:
            of_user.discard(session)
            if not of_user:
                del self._by_user[session.user]

    def subscribe(self, session: Session, conv: ConversationId) -> None:
        """From now on `session` hears `conv`: first through pages, after `caught_up` live."""
        self._topics.setdefault(conv, Topic()).listeners.add(session)
        session.convs.add(conv)
        session.behind.add(conv)
        session.ahead.pop(conv, None)

    def unsubscribe(self, session: Session, conv: ConversationId) -> None:
        """`session` hears no more of `conv`."""
        session.convs.discard(conv)
        session.behind.discard(conv)
        session.ahead.pop(conv, None)
        topic = self._topics.get(conv)
        if topic is not None:
            topic.listeners.discard(session)
            if not topic.listeners:
                del self._topics[conv]

    def sessions(self) -> Iterator[Session]:
        """Everybody who is here."""
        return iter(tuple(self._by_device.values()))

    def hears(self, conv: ConversationId) -> bool:
        """Whether anybody here listens to `conv`."""
        return conv in self._topics

    def live_listeners(self, conv: ConversationId) -> int:
        """How many connections of this node a message of `conv` is owed to now."""
        topic = self._topics.get(conv)
        return sum(conv not in session.behind for session in topic.listeners) if topic else 0

    # --- catching up ---------------------------------------------------------------------------------

    def caught_up(self, session: Session, conv: ConversationId, read_to: int) -> bool:
        """The log of `conv` was read to its end, which was `read_to`, and sent; False: read on, more came.

        Called right after the read, with no switch of greenlets in between.
        """
        topic = self._topics.get(conv)
        if topic is None or conv not in session.behind:
            return True
        if topic.head == UNKNOWN and topic.seen <= read_to:
            topic.head = read_to
        if topic.head == UNKNOWN or topic.head > read_to:
            return False
        session.behind.discard(conv)
        if topic.head < read_to:
            session.ahead[conv] = read_to
        return True

    def wants(self, conv: ConversationId, seq: int, kind: Kind) -> bool:
        """Whether `deliver` could do anything with this row; cheap, asked before its frame is built."""
        if kind is Kind.JOINED:
            return True
        topic = self._topics.get(conv)
        return topic is not None and seq > topic.head

    # --- fan-out -------------------------------------------------------------------------------------

    def deliver(self, event: Sequenced) -> bool:
        """Give a row of a log to its listeners, in order; False when it was known already or nobody listens."""
        if event.kind is Kind.JOINED:
            self._let_in(event)
        topic = self._topics.get(event.conv)
        if topic is None:
            return False
        if topic.head == UNKNOWN:
            topic.seen = max(topic.seen, event.seq)
            return False
        if event.seq <= topic.head:
            return False
        if event.seq > topic.head + 1:
            return self._hold(topic, event)
        if topic.held:
            topic.held.pop(event.seq, None)  # the same row, come another way
        self._pass_on(topic, event)
        while topic.held and (waiting := topic.held.pop(topic.head + 1, None)) is not None:
            self._pass_on(topic, waiting)
        return True

    def _hold(self, topic: Topic, event: Sequenced) -> bool:
        held = topic.held = topic.held if topic.held is not None else {}
        if event.seq in held or len(held) >= MAX_HELD:
            return False
        held[event.seq] = event
        return True

    def _let_in(self, event: Sequenced) -> None:
        for session in tuple(self._by_user.get(event.user, ())):
            if event.conv not in session.convs:
                self.subscribe(session, event.conv)
                self.let_in(session, event.conv, event.seq - 1)

    def _pass_on(self, topic: Topic, event: Sequenced) -> None:
        topic.head = event.seq
        live: list[Connection] = []
        for session in topic.listeners:
            if event.conv in session.behind:
                continue
            if event.conv not in session.ahead:
                live.append(session.conn)
            elif session.ahead[event.conv] == event.seq:
                del session.ahead[event.conv]
        self._fan_out("message", live, event.frame, event.ts, event.owed)
        if event.kind is Kind.LEFT:
            for session in tuple(self._by_user.get(event.user, ())):
                # Who catches up, or has read past this row, may have come back meanwhile: their pages tell.
                if event.conv not in session.behind and event.conv not in session.ahead:
                    self.unsubscribe(session, event.conv)

    def to_conversation(
        self, path: str, conv: ConversationId, frame: bytes, ts: float, *, but: UserId | None = None
    ) -> None:
        """A frame outside the log to everybody who hears `conv`, except the devices of user `but`."""
        topic = self._topics.get(conv)
        if topic is not None:
            self._fan_out(path, [s.conn for s in topic.listeners if s.user != but], frame, ts)

    def to_all(self, path: str, frame: bytes, ts: float) -> int:
        """A frame to every connection of this node; returns how many there are."""
        conns = [session.conn for session in self._by_device.values()]
        self._fan_out(path, conns, frame, ts)
        return len(conns)

    def to_session(self, path: str, session: Session, frame: bytes, ts: float) -> None:
        """A frame of the log that one session missed; `path` keeps it apart from live deliveries."""
        self._owed[path].add()
        if session.conn.send(frame):
            self._observe(path, ts, 1)

    def owe(self, path: str, n: int) -> None:
        """Count deliveries that are overdue although their event was never committed."""
        self._owed[path].add(n)

    def _fan_out(self, path: str, conns: list[Connection], frame: bytes, ts: float, owed: int = 0) -> None:
        # A counter never goes back: listeners who left meanwhile stay owed.
        self._owed[path].add(max(0, len(conns) - owed))
        if self._faults.active:
            self._faults.detain(lambda: self._send_all(path, conns, frame, ts))
        else:
            self._send_all(path, conns, frame, ts)

    def _send_all(self, path: str, conns: list[Connection], frame: bytes, ts: float) -> None:
        started = time.perf_counter()
        sent = 0
        stamp = ts if path == "message" else 0.0
        for conn in conns:
            sent += conn.send(frame, stamp)
        if conns:
            self._write[path].observe(time.perf_counter() - started)
            self._observe(path, ts, sent)

    def flushed(self, ts: float) -> None:
        """A message that had to queue has reached the kernel."""
        self._observe("message", ts, 1)

    def _observe(self, path: str, ts: float, n: int) -> None:
        latency = time.time() - ts
        if latency < 0:
            self._skew.add()
        if n:
            self._latency[path].observe(max(0.0, latency), n)
