"""Who listens to what on this node, and in which order they hear it.

The hub keeps `head` for each conversation that has a local listener: an entry at or below it
is a duplicate and dropped, head + 1 is delivered, a later one is held until what lies between
arrives (from the bus, from the log within its next poll, or read as a gap). So nothing reaches a
socket out of order, twice or with a hole. A listener in `live` has, by invariant, everything through
`head`. One in `joining` is not sent anything live: BEHIND, it reads pages that bring everything;
otherwise its pages reached further than the bus has told, and it is live again when the head is there.

Signing in reads what a device may hear before the hub knows of it. What was told meanwhile and will not be told
again is in `overhear`: rows of conversations, who joined, which devices were revoked or connected anew.

Memory counts here: a settled conversation is one `Topic` with a tuple of its listeners, and a session knows
its topics as a tuple. Everything that is only needed while something is unsettled lies in `Transit`.

`deliver` never waits for a socket (see `fanout`). All methods run on the loop's thread and do not switch
greenlets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.inbox import Posted
from app.domain.log import Kind
from app.metrics import Metrics, path_of
from app.realtime.connection import Connection
from app.realtime.fanout import Fanout, Lane
from app.realtime.limits import Account
from app.realtime.marks import ToldMarks

T = TypeVar("T")
MAX_HELD = 1_000
"""Entries of one conversation that may wait for an earlier one; beyond it they are left to the log."""
BEHIND = -1
"""In `Transit.joining`: this session still reads pages."""
MAX_CONNECTIONS_OF_USER = 64
"""Devices of one person that may be connected to one node at once."""


class Sequenced(msgspec.Struct, frozen=True, gc=False):
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
    """A signed-in connection. `fence` is PostgreSQL's number of it: of two of one device the higher one stays.

    `inbox`: through which seq of its inbox it was sent, or has named, what there is. `due` is its account with the rate
    limit; `shared` the one with its person's other devices, when there are any. `probe`: its person is one of the
    monitoring's, and so is everybody in its conversations; what they hear is counted apart.
    """

    conn: Connection
    user: UserId
    device: DeviceId
    expires_at: float
    since: float
    fence: int = 0
    topics: tuple[Topic, ...] = ()
    due: float = 0.0
    shared: Account | None = None
    mistakes: int = 0
    typed_at: float = 0.0
    inbox: int = 0
    probe: bool = False


class Topic:
    """One conversation with listeners here."""

    __slots__ = ("conv", "head", "live", "transit")

    def __init__(self, conv: ConversationId, head: int) -> None:
        self.conv = conv
        self.head = head
        self.live: tuple[Session, ...] = ()
        self.transit: Transit | None = None


class Transit:
    """What is unsettled in a topic: who is joining, which entries wait for an earlier one, which rollouts go on."""

    __slots__ = ("held", "joining", "lane")

    def __init__(self) -> None:
        self.joining: dict[Session, int] = {}
        self.held: dict[int, Sequenced] = {}
        self.lane = Lane()

    @property
    def settled(self) -> bool:
        """Whether nothing of all that is left."""
        return not (self.joining or self.held or self.lane.busy)


@dataclass(slots=True, eq=False)
class Overheard:
    """What was told to this node while somebody signed in, who was not there to hear it.

    `heads`: how far the log of a conversation is known to go that has no listener here (infinity: it was not looked).
    `joined`: (conversation, seq) by person. `fences`: the newest connection of a device. `revoked`: devices.
    """

    heads: dict[ConversationId, float] = field(default_factory=dict)
    joined: dict[UserId, list[tuple[ConversationId, int]]] = field(default_factory=dict)
    fences: dict[DeviceId, int] = field(default_factory=dict)
    revoked: set[DeviceId] = field(default_factory=set)

    def goes_beyond(self, conv: ConversationId, head: int) -> bool:
        """Whether something of `conv` may lie after `head`."""
        return head < self.heads.get(conv, 0)


class Hub:
    """The registry of one node."""

    def __init__(self, metrics: Metrics, fanout: Fanout) -> None:
        self._fanout = fanout
        self._topics: dict[ConversationId, Topic] = {}
        self._by_user: dict[UserId, tuple[Session, ...]] = {}
        self._by_device: dict[DeviceId, Session] = {}
        self._marks = ToldMarks()
        self._everybody = Lane()
        self._overhearing: list[Overheard] = []
        self._displaced = metrics.counter("messenger_sessions_displaced_total")
        self._revoked = metrics.counter("messenger_sessions_revoked_total")
        self._revocation = metrics.histogram("messenger_revocation_seconds")
        self._gaps_seen = metrics.counter("messenger_fanout_gaps_total")
        self.gaps: dict[ConversationId, float] = {}
        """Conversations with held entries, and since when (monotonic); the gap reader's work list."""
        self.let_in: Callable[[Session, ConversationId, int], None] = lambda _session, _conv, _after: None
        """Called when a session was let into a conversation and must catch up from there; set by the joiner."""

        self.ring: Callable[[Posted], None] = lambda _posted: None
        """Called when another node has put something into the inbox of a device that is here; set by the postman."""

    # --- who is here ---------------------------------------------------------------------------------

    def attach(self, session: Session) -> bool:
        """A device is here. Of two connections of one device the older is displaced (4409).

        False when that is this one (signing in may be overtaken by a newer connection), or when its person
        has too many connections already (1008).
        """
        other = self._by_device.get(session.device)
        if other is not None:
            older = min(other, session, key=lambda s: s.fence)
            self._displace(older)
            if older is session:
                return False
        of_user = self._by_user.get(session.user, ())
        if len(of_user) >= MAX_CONNECTIONS_OF_USER:
            session.conn.close(1008, "too many connections")
            return False
        if of_user:
            session.shared = of_user[0].shared = of_user[0].shared or Account()
        self._by_device[session.device] = session
        self._by_user[session.user] = (*of_user, session)
        return True

    def detach(self, session: Session) -> None:
        """A device is gone; harmless when it was gone before."""
        topics, session.topics = session.topics, ()
        for topic in topics:
            self._drop(topic, session)
        if self._by_device.get(session.device) is session:
            del self._by_device[session.device]
        of_user = _without(self._by_user.get(session.user, ()), session)
        if of_user:
            self._by_user[session.user] = of_user
        else:
            self._by_user.pop(session.user, None)

    def connected_elsewhere(self, device: DeviceId, fence: int) -> None:
        """This device has made a connection with that fencing number, here or on another node."""
        for heard in self._overhearing:
            heard.fences[device] = max(fence, heard.fences.get(device, 0))
        session = self._by_device.get(device)
        if session is not None and session.fence < fence:
            self._displace(session)

    def revoked(self, device: DeviceId, user: UserId, frame: bytes, ts: float) -> None:
        """This device was revoked: its person's devices hear `frame`, and it is closed (4401)."""
        for heard in self._overhearing:
            heard.revoked.add(device)
        self._to_listeners("device", self._by_user.get(user, ()), frame, ts, None)
        session = self._by_device.get(device)
        if session is not None:
            self._revoked.add()
            self._revocation.observe(max(0.0, time.time() - ts))
            self.detach(session)
            session.conn.close(4401, "this device was revoked")

    def session(self, device: DeviceId) -> Session | None:
        """The connection of this device, if it is here."""
        return self._by_device.get(device)

    def sessions(self) -> Iterator[Session]:
        """Everybody who is here."""
        return iter(tuple(self._by_device.values()))

    def _displace(self, session: Session) -> None:
        self._displaced.add()
        self.detach(session)
        session.conn.close(4409, "this device connected anew")

    # --- who hears what ------------------------------------------------------------------------------

    def subscribe(self, session: Session, conv: ConversationId, head: int = 0) -> None:
        """From now on `session` hears `conv`: first through pages, after `caught_up` live.

        `head` is where the log was seen to be; it counts when nobody here has followed the conversation yet.
        """
        topic = self._topics.get(conv)
        if topic is None:
            topic = self._topics[conv] = Topic(conv, head)
        elif session in topic.live:
            topic.live = _without(topic.live, session)
            _leave_out(topic, session)
        _transit(topic).joining[session] = BEHIND
        if topic not in session.topics:
            session.topics += (topic,)

    def join(self, session: Session, conv: ConversationId, head: int) -> bool:
        """`session` has everything through `head`, where the log was just seen to be, and hears `conv` from there on.

        False when the log has moved on since: it is subscribed and must read what lies after `head`.
        """
        topic = self._topics.get(conv)
        if topic is None:
            topic = self._topics[conv] = Topic(conv, head)
        if topic.head == head and topic.transit is None and topic not in session.topics:
            topic.live += (session,)
            session.topics += (topic,)
            return True
        self.subscribe(session, conv, head)
        return self.caught_up(session, conv, head)

    def caught_up(self, session: Session, conv: ConversationId, read_to: int) -> bool:
        """The log of `conv` was read to its end, which was `read_to`, and sent; False: read on, more came.

        Called right after the read, with no switch of greenlets in between.
        """
        topic = self._topics.get(conv)
        if topic is None or not self.is_behind(session, conv):
            return True
        joining = _transit(topic).joining
        if topic.head < read_to and not topic.live and all(ahead == BEHIND for ahead in joining.values()):
            # Nobody relies on the head: what was read is further.
            topic.head = read_to
            self._release(topic)
        if topic.head > read_to:
            return False
        if topic.head < read_to:
            joining[session] = read_to
        else:
            del joining[session]
            topic.live += (session,)
            _settle(topic)
        return True

    def unsubscribe(self, session: Session, conv: ConversationId) -> None:
        """`session` hears no more of `conv`."""
        topic = self._topics.get(conv)
        if topic is not None and topic in session.topics:
            session.topics = _without(session.topics, topic)
            self._drop(topic, session)

    def hears(self, session: Session, conv: ConversationId) -> bool:
        """Whether `session` is subscribed to `conv`."""
        topic = self._topics.get(conv)
        return topic is not None and topic in session.topics

    def has_sent(self, session: Session, conv: ConversationId, seq: int) -> bool:
        """Whether this node knows that `session` was sent row `seq` of `conv`: it is settled, and the head is there."""
        topic = self._topics.get(conv)
        return topic is not None and seq <= topic.head and topic.transit is None and topic in session.topics

    def is_behind(self, session: Session, conv: ConversationId) -> bool:
        """Whether `session` still reads pages of `conv`."""
        topic = self._topics.get(conv)
        transit = topic.transit if topic is not None else None
        return transit is not None and transit.joining.get(session) == BEHIND

    def behind(self, session: Session) -> list[ConversationId]:
        """The conversations of which `session` still reads pages."""
        return [topic.conv for topic in session.topics if self.is_behind(session, topic.conv)]

    def still_hear(self, listeners: Iterable[Session], conv: ConversationId) -> list[Session]:
        """Those of `listeners` who are connected and hear `conv` now."""
        topic = self._topics.get(conv)
        return [s for s in listeners if s.conn.open and topic in s.topics]

    def listeners(self, conv: ConversationId) -> tuple[Session, ...]:
        """Who hears `conv` live."""
        topic = self._topics.get(conv)
        return topic.live if topic is not None else ()

    def live_listeners(self, conv: ConversationId) -> int:
        """How many connections of this node a message of `conv` is owed to now."""
        topic = self._topics.get(conv)
        if topic is None:
            return 0
        ahead = 0 if topic.transit is None else sum(a != BEHIND for a in topic.transit.joining.values())
        return len(topic.live) + ahead

    def is_of_probes(self, conv: ConversationId) -> bool:
        """Whether those who hear `conv` here are probes; False when nobody does."""
        topic = self._topics.get(conv)
        if topic is not None and topic.live:
            return topic.live[0].probe
        joining = topic.transit.joining if topic is not None and topic.transit is not None else ()
        return any(session.probe for session in joining)

    @contextmanager
    def overhear(self) -> Iterator[Overheard]:
        """Collects what is told within the block and concerns those who are not here yet."""
        heard = Overheard()
        self._overhearing.append(heard)
        try:
            yield heard
        finally:
            self._overhearing.remove(heard)

    def wanted(self, conv: ConversationId) -> bool:
        """Whether anybody here hears `conv`; asked before a frame is decoded. A no is remembered for `overhear`."""
        if conv in self._topics:
            return True
        for heard in self._overhearing:
            heard.heads[conv] = math.inf
        return False

    def lacks(self, conv: ConversationId, seq: int) -> int | None:
        """The head of `conv` here when `seq` lies beyond it; None when it is known, or when nobody listens."""
        if not self.wanted(conv):
            return None
        head = self._topics[conv].head
        return head if seq > head else None

    def _drop(self, topic: Topic, session: Session) -> None:
        topic.live = _without(topic.live, session)
        if topic.transit is not None:
            topic.transit.joining.pop(session, None)
            topic.transit.lane.leave_out(session)
            _settle(topic)
        if not topic.live and (topic.transit is None or not topic.transit.joining):
            self._topics.pop(topic.conv, None)
            self.gaps.pop(topic.conv, None)
            self._forget_head(topic)

    def _forget_head(self, topic: Topic) -> None:
        """What only those who have gone were told is not told again: whoever signs in now must read it."""
        for heard in self._overhearing:
            told = topic.head if topic.transit is None else max([topic.head, *topic.transit.held])
            heard.heads[topic.conv] = max(told, heard.heads.get(topic.conv, 0))

    # --- what they hear ------------------------------------------------------------------------------

    def turn(self) -> AbstractContextManager[None]:
        """What is sent within the block leaves at its end, once a connection; it must not switch greenlets."""
        return self._fanout.turn()

    def deliver(self, event: Sequenced) -> bool:
        """Give a row of a log to its listeners, in order; False when it was known already or nobody listens."""
        if event.kind is Kind.JOINED:
            self.let_in_at(event.conv, event.seq, event.user)
        if not self.wanted(event.conv):
            return False
        topic = self._topics[event.conv]
        if event.seq <= topic.head:
            return False
        if event.seq > topic.head + 1:
            return self._hold(topic, event)
        self._pass_on(topic, event)
        if topic.transit is not None and topic.transit.held:
            self._release(topic)
        return True

    def held_from(self, conv: ConversationId) -> tuple[int, int] | None:
        """(head, lowest seq that is held) of a conversation with a gap."""
        topic = self._topics.get(conv)
        if topic is None or topic.transit is None or not topic.transit.held:
            return None
        return topic.head, min(topic.transit.held)

    def _hold(self, topic: Topic, event: Sequenced) -> bool:
        held = _transit(topic).held
        if event.seq in held or len(held) >= MAX_HELD:
            return False
        held[event.seq] = event
        self._gaps_seen.add()
        self.gaps.setdefault(topic.conv, time.monotonic())
        return True

    def _release(self, topic: Topic) -> None:
        """Pass on what waited for the head to be where it is now."""
        held = _transit(topic).held
        for seq in [seq for seq in held if seq <= topic.head]:
            del held[seq]
        while (waiting := held.pop(topic.head + 1, None)) is not None:
            self._pass_on(topic, waiting)
        if not held:
            self.gaps.pop(topic.conv, None)
        _settle(topic)

    def let_in_at(self, conv: ConversationId, seq: int, user: UserId) -> None:
        """`user` joined with row `seq`: their devices here hear `conv` from that row on."""
        for heard in self._overhearing:
            heard.joined.setdefault(user, []).append((conv, seq))
        for session in self._by_user.get(user, ()):
            if not self.hears(session, conv):
                self.subscribe(session, conv, seq - 1)
                self.let_in(session, conv, seq - 1)

    def _pass_on(self, topic: Topic, event: Sequenced) -> None:
        topic.head = event.seq
        self._to_listeners("message", topic.live, event.frame, event.ts, topic, event.owed)
        if topic.transit is not None:
            joining = topic.transit.joining
            arrived = [session for session, ahead in joining.items() if ahead == event.seq]
            for session in arrived:
                del joining[session]
            topic.live += tuple(arrived)
            _settle(topic)
        if event.kind is Kind.LEFT:
            # Who catches up, or has read past this row, may have come back meanwhile: their pages tell.
            for session in [session for session in topic.live if session.user == event.user]:
                if topic.transit is not None:
                    self._fanout.send_rest(topic.transit.lane, session)
                self.unsubscribe(session, event.conv)

    # --- beside the log ------------------------------------------------------------------------------

    def to_conversation(
        self, path: str, conv: ConversationId, frame: bytes, ts: float, *, but: UserId | None = None
    ) -> None:
        """A frame outside the log to everybody who hears `conv`, except the devices of user `but`."""
        topic = self._topics.get(conv)
        if topic is not None:
            hearing = topic.live if topic.transit is None else (*topic.live, *topic.transit.joining)
            self._to_listeners(path, tuple(s for s in hearing if s.user != but), frame, ts, topic)

    def forget_marks(self) -> None:
        """Another database answers: what was told of read markers says nothing of its."""
        self._marks = ToldMarks()

    def read_mark(
        self,
        conv: ConversationId,
        user: UserId,
        seq: int,
        frame: bytes,
        ts: float,
        reader: DeviceId | None = None,
        owed: int = 0,
    ) -> bool:
        """`user` has read through `seq`: tell everybody who hears `conv`; False when that was told before.

        `reader` is the device that said so. Another node does not name it; it is not connected here then.
        `owed`: what `owe_read_sync` counted of it.
        """
        if not self.wanted(conv) or not self._marks.is_news(user, conv, seq):
            return False
        topic = self._topics[conv]
        large = self._fanout.is_large(topic.live)
        others = self._other_devices(conv, user, reader)
        self._to_listeners("read_sync", others, frame, ts, None if large else topic, owed)
        hearing = topic.live if topic.transit is None else (*topic.live, *topic.transit.joining)
        # In a large conversation everybody's marker to everybody would cost more than the messages.
        rest = self._by_user.get(user, ()) if large else hearing
        self._to_listeners("read", tuple(s for s in rest if s not in others), frame, ts, None if large else topic)
        return True

    def owe_read_sync(self, conv: ConversationId, user: UserId, reader: DeviceId) -> int:
        """A marker is overdue although it is not stored yet: count what is owed to the reader's other devices here."""
        others = self._other_devices(conv, user, reader)
        self._fanout.owe(_path("read_sync", others), len(others))
        return len(others)

    def _other_devices(self, conv: ConversationId, user: UserId, reader: DeviceId | None) -> tuple[Session, ...]:
        topic = self._topics.get(conv)
        return tuple(s for s in self._by_user.get(user, ()) if s.device != reader and topic in s.topics)

    def to_user(self, path: str, user: UserId, frame: bytes, ts: float) -> None:
        """A frame to every device of `user` that is here."""
        self._to_listeners(path, self._by_user.get(user, ()), frame, ts, None)

    def to_contacts(self, path: str, user: UserId, convs: Iterable[ConversationId], frame: bytes, ts: float) -> None:
        """A frame, once, to everybody who hears one of `convs`, and to the devices of `user`."""
        contacts = dict.fromkeys(self._by_user.get(user, ()))
        for conv in convs:
            topic = self._topics.get(conv)
            if topic is not None:
                contacts |= dict.fromkeys(topic.live)
                contacts |= dict.fromkeys(topic.transit.joining if topic.transit is not None else ())
        self._to_listeners(path, tuple(contacts), frame, ts, None)

    def to_all(self, path: str, frame: bytes, ts: float) -> int:
        """A frame to every connection of this node; returns how many there are."""
        everybody = tuple(self._by_device.values())
        self._fanout.owe(path, len(everybody))
        self._fanout.send(path, everybody, frame, ts, self._everybody)
        return len(everybody)

    def to_session(self, path: str, session: Session, frames: list[tuple[bytes, float]]) -> None:
        """Frames of the log, each with when its event was received, that one session missed, in one send.

        `path` keeps them apart from live deliveries.
        """
        if not session.conn.open:
            return
        self._fanout.owe(path, len(frames))
        self._fanout.send_joined(path, session, frames)

    def owe(self, path: str, n: int) -> None:
        """Count deliveries that are overdue although their event was never committed."""
        self._fanout.owe(path, n)

    def _to_listeners(
        self, path: str, listeners: tuple[Session, ...], frame: bytes, ts: float, topic: Topic | None, owed: int = 0
    ) -> None:
        path = _path(path, listeners)
        # A counter never goes back: listeners who left meanwhile stay owed.
        self._fanout.owe(path, max(0, len(listeners) - owed))
        lane = None
        if topic is not None and (topic.transit is not None or self._fanout.is_large(listeners)):
            lane = _transit(topic).lane
        self._fanout.send(path, listeners, frame, ts, lane)


def _path(path: str, listeners: tuple[Session, ...]) -> str:
    """How a fan-out to these is counted; they are all probes or all users, so the first one tells."""
    return path_of(path, probe=True) if listeners and listeners[0].probe else path


def _without(things: tuple[T, ...], gone: T) -> tuple[T, ...]:
    """`things` but for one; the same tuple when it is not among them."""
    for at, thing in enumerate(things):
        if thing is gone:
            return things[:at] + things[at + 1 :]
    return things


def _transit(topic: Topic) -> Transit:
    if topic.transit is None:
        topic.transit = Transit()
    return topic.transit


def _settle(topic: Topic) -> None:
    if topic.transit is not None and topic.transit.settled:
        topic.transit = None


def _leave_out(topic: Topic, session: Session) -> None:
    if topic.transit is not None:
        topic.transit.lane.leave_out(session)
