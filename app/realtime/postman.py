"""Bringing devices what is in their inboxes, and telling them how many keys they have left.

An inbox is read, never pushed: whoever puts something into one, here or on another node, only rings (`wake`), and the
log of commits rings as well. The reader goes on after the last seq this connection was sent, so the order is the
inbox's, whatever rang in which order, and a lost ring costs one poll. Many devices are read in one statement.

What is told stays in the inbox until the device acknowledges it; a connection that is cut begins again from there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice

import gevent
import msgspec
from gevent.event import Event

from app import logs
from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.inbox import Item, Kind, Posted
from app.domain.log import Kind as RowKind
from app.errors import AppError
from app.protocol import wire
from app.realtime.bus import Bus
from app.realtime.bus.wire import Audience, BusFrame
from app.realtime.hub import Hub, Session
from app.realtime.joiner import Greeting
from app.services.calls import Content
from app.services.inbox import Inboxes
from app.services.keys import Keys
from app.services.messages import Messages
from app.store.keys import Counts

LINGER_S = 0.002
MAX_DEVICES = 500
"""Inboxes that are read together."""
PAGE_ITEMS = 100
LOW_WATER_BYTES = 131_072
"""A session with more than this in its queue is read to later."""
RETRY_S = 0.2
ACKNOWLEDGE_EVERY_S = 1.0
MAX_ACKNOWLEDGED = 200_000
"""Devices whose acknowledgement may wait for the database; one that is not taken comes again."""
_PATHS = {Kind.TO_DEVICE: "to_device", Kind.CALL: "call"}

log = logs.get("postman")


class Postman:
    """One per node."""

    def __init__(self, inboxes: Inboxes, keys: Keys, messages: Messages, hub: Hub, bus: Bus) -> None:
        self._inboxes = inboxes
        self._keys = keys
        self._messages = messages
        self._hub = hub
        self._bus = bus
        self._waiting: dict[Session, None] = {}
        self._count: dict[Session, float] = {}
        self._acknowledged: dict[DeviceId, int] = {}
        self._work = Event()
        self.epoch = ""
        """The name of the database that devices were told items of; the reconciler keeps it true."""
        hub.ring = self.wake

    # --- ringing: none of these waits ----------------------------------------------------------------

    def told(self, posted: Sequence[Posted], ts: float) -> None:
        """These items were just committed by this node: ring here, and on the other nodes."""
        for one in posted:
            self.wake(one)
        frames = [
            BusFrame("to_device", Audience.DEVICE, one.device, 0, RowKind.MESSAGE, 0, ts, b"", one.seq)
            for one in posted
        ]
        if frames:
            self._bus.publish(frames)

    def wake(self, posted: Posted) -> None:
        """There is something in the inbox of this device, which may be connected here."""
        session = self._hub.session(posted.device)
        if session is not None and session.inbox < posted.seq:
            self._waiting[session] = None
            self._work.set()

    def tell_keys(self, device: DeviceId, ts: float) -> None:
        """Some keys of this device were handed out at `ts` (Unix seconds)."""
        session = self._hub.session(device)
        if session is not None:
            self._count.setdefault(session, ts)
            self._work.set()

    def acknowledged(self, session: Session, seq: int) -> None:
        """The device has everything through `seq`, of what it was sent. Called in read callbacks."""
        seq = min(seq, session.inbox)
        if not seq:
            return
        known = self._acknowledged.get(session.device)
        if known is not None or len(self._acknowledged) < MAX_ACKNOWLEDGED:
            self._acknowledged[session.device] = max(seq, known or 0)

    def take_epoch(self, epoch: str) -> None:
        """Another database answers: what was acknowledged of the old one says nothing of its."""
        self.epoch, self._acknowledged = epoch, {}

    # --- greenlets -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Bring what waits, for ever; a greenlet of its own."""
        while True:
            self._work.wait()
            self._work.clear()
            gevent.sleep(LINGER_S)
            try:
                self._bring_waiting()
                self._tell_counts()
            except AppError as error:
                log.warning("inboxes cannot be read", error=error.message)
                gevent.spawn_later(RETRY_S, self._work.set)

    def write(self) -> None:
        """Write acknowledgements, for ever; a greenlet of its own."""
        while True:
            gevent.sleep(ACKNOWLEDGE_EVERY_S)
            try:
                self.flush()
            except AppError as error:
                log.warning("acknowledgements could not be written yet", error=error.message)

    def flush(self) -> None:
        """Write the acknowledgements that wait; what could not be written waits on. Raises AppError."""
        batch = dict(self._acknowledged)  # others come while these are written
        if batch:
            self._inboxes.acknowledge(batch, self.epoch)
            self._acknowledged = {d: seq for d, seq in self._acknowledged.items() if batch.get(d) != seq}

    def _bring_waiting(self) -> None:
        while self._waiting:
            sessions = [s for s in islice(self._waiting, MAX_DEVICES) if s.conn.open]
            for session in tuple(islice(self._waiting, MAX_DEVICES)):
                del self._waiting[session]
            try:
                items = self._inboxes.pages({s.device: s.inbox for s in sessions}, PAGE_ITEMS)
            except AppError:
                self._waiting |= dict.fromkeys(sessions)
                raise
            of_device: dict[DeviceId, list[Item]] = {}
            for item in items:
                of_device.setdefault(item.device, []).append(item)
            for session in sessions:
                if not self._hand_over(session, of_device.get(session.device, []), live=True):
                    gevent.spawn_later(RETRY_S, self._again, session)
                elif len(of_device.get(session.device, [])) == PAGE_ITEMS:
                    self._waiting[session] = None

    def _again(self, session: Session) -> None:
        if session.conn.open:
            self._waiting[session] = None
            self._work.set()

    def _tell_counts(self) -> None:
        waiting, self._count = self._count, {}
        if not waiting:
            return
        try:
            counts = self._keys.counts({session.device for session in waiting})
        except AppError:
            self._count = waiting | self._count
            raise
        for session, ts in waiting.items():
            if session.device in counts:
                self._hub.to_session("keys", session, [(_keys_frame(counts[session.device]), ts)])

    def _hand_over(self, session: Session, items: Sequence[Item], *, live: bool) -> bool:
        """Send what this connection was not sent yet; False when its queue is too full for more."""
        if session.conn.queued_bytes > LOW_WATER_BYTES:
            return False
        now = time.time()
        for item in items:
            if item.seq > session.inbox:  # two readers may have read the same
                session.inbox = item.seq
                path = _PATHS[item.kind] if live else "catch_up"
                self._hub.to_session(path, session, [(_frame(item, now), item.ts)])
        return True

    # --- after signing in ----------------------------------------------------------------------------

    def greet(self, session: Session, greeting: Greeting) -> bool:
        """One step of telling a device what it missed besides its conversations; False when there is more.

        Raises AppError.
        """
        if greeting.since is not None:
            since, greeting.since = greeting.since, None
            self._tell_changes(session, since)
        if greeting.keys:
            greeting.keys = False
            counts = self._keys.counts([session.device]).get(session.device)
            if counts is not None:
                session.conn.send(_keys_frame(counts))
        items = self._inboxes.pages({session.device: session.inbox}, PAGE_ITEMS)
        return self._hand_over(session, items, live=False) and len(items) < PAGE_ITEMS

    def _tell_changes(self, session: Session, since: str) -> None:
        news = self._messages.changes(session.user, since)
        if news.changed or news.left:
            session.conn.send(wire.frame(wire.DeviceLists(news.changed, news.left)))
        for conv, seq in news.reads:
            session.conn.send(wire.frame(wire.ReadMark(conv, session.user, seq)))


def _keys_frame(counts: Counts) -> bytes:
    return wire.frame(wire.KeyCounts(counts.one_time, counts.unused_fallback))


def _frame(item: Item, now: float) -> bytes:
    if item.kind is Kind.TO_DEVICE:
        content = msgspec.Raw(item.content.encode())
        return wire.frame(wire.ToDevice(item.seq, item.sender, item.sender_device, item.type, content))
    said = msgspec.json.decode(item.content, type=Content)
    return wire.frame(
        wire.CALL_EVENTS[item.type](
            seq=item.seq,
            call=said.call,
            conv=ConversationId(said.conv),
            user=UserId(item.sender),
            device=item.sender_device,
            version=said.version,
            age_ms=max(0, round((now - item.ts) * 1000)),
            payload=said.payload,
            lifetime_ms=said.lifetime_ms or None,
            selected=said.selected,
            reason=said.reason,
        )
    )
