"""Handing frames to sockets: direct, together, or in chunks.

Three rules keep the cost of a delivery near that of the system call, and its latency apart from others':

* **Together.** What falls due within one `turn` (a commit, a batch from the bus, a poll) is collected by
  connection, so that each connection gets one send for all of it. Frames of one conversation for the same
  listeners are joined once and shared by all of them.
* **Direct.** A fan-out to few listeners is sent at once, without a detour.
* **In chunks.** One to more than CHUNK listeners becomes a `Rollout`: a greenlet sends CHUNK frames, lets the
  event loop run, and takes the next conversation that has one. Behind a rollout everything of the same
  conversation queues up, so that its order stays; what waits there for the same listeners is joined.

Latency is weighed by deliveries and recorded once a chunk. A frame that had to queue is counted when the
kernel takes it; one whose connection closes first stays owed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from gevent.event import Event

from app.metrics import PATHS, Metrics
from app.realtime.connection import Connection
from app.realtime.faults import Faults
from app.realtime.turns import give_way

CHUNK = 256
"""Sends between two looks at the event loop: a little more than a millisecond of work."""
MAX_JOINED_BYTES = 65_536

DROPPABLE = frozenset({"typing", "presence"})
"""Paths whose frames a slow listener may miss."""


class Listener(Protocol):
    """Whoever has a connection."""

    conn: Connection


Listeners = Sequence[Listener]


class Parcel:
    """One or several frames for the same listeners, with the moments (Unix seconds) their events were received."""

    __slots__ = ("frame", "path", "sent", "stamps")

    def __init__(self, path: str, frame: bytes, stamps: tuple[float, ...]) -> None:
        self.path = path
        self.frame = frame
        self.stamps = stamps
        self.sent = 0

    def join(self, other: Parcel) -> None:
        """Take what follows for the same listeners."""
        self.frame += other.frame
        self.stamps += other.stamps


class Rollout:
    """A large fan-out under way: `listeners` as they were, and how far it has come."""

    __slots__ = ("at", "gone", "listeners", "parcel")

    def __init__(self, listeners: Listeners, parcel: Parcel) -> None:
        self.listeners = listeners
        self.parcel = parcel
        self.at = 0
        self.gone: set[Listener] = set()


class Lane:
    """The rollouts of one conversation, one after the other. It lives in `Fanout.run` until it is empty."""

    __slots__ = ("rollouts",)

    def __init__(self) -> None:
        self.rollouts: deque[Rollout] = deque()

    @property
    def busy(self) -> bool:
        """Whether what comes now must wait behind something."""
        return bool(self.rollouts)

    def leave_out(self, listener: Listener) -> None:
        """What is not sent yet is not for this one any more: it left, or reads it from the log."""
        for rollout in self.rollouts:
            rollout.gone.add(listener)


class Fanout:
    """One per node. All methods but `run` return without waiting."""

    def __init__(self, metrics: Metrics, faults: Faults, chunk: int = CHUNK) -> None:
        """`chunk`: to how many listeners a fan-out goes before the event loop runs again."""
        self.chunk = chunk
        self._faults = faults
        self._owed = {path: metrics.counter("messenger_fanout_owed_total", path) for path in PATHS}
        self._latency = {path: metrics.histogram("messenger_fanout_latency_seconds", path) for path in PATHS}
        self._write = {path: metrics.histogram("messenger_fanout_stage_seconds", path, "write") for path in PATHS}
        self._failed = {path: metrics.counter("messenger_fanout_errors_total", path, "write") for path in PATHS}
        self._dropped = {path: metrics.counter("messenger_fanout_dropped_total", path) for path in PATHS}
        self._skew = metrics.counter("messenger_fanout_clock_skew_total")
        self._lanes: deque[Lane] = deque()
        self._work = Event()
        self._together: list[tuple[Lane | None, Listeners, Parcel]] | None = None
        self._replies: list[tuple[Connection, bytes]] = []
        metrics.gauge("messenger_fanout_waiting").read = self._waiting

    def owe(self, path: str, n: int) -> None:
        """Count deliveries that are due."""
        self._owed[path].add(n)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What is sent within the block leaves at its end, once a connection. The block must not switch greenlets."""
        if self._together is not None:
            yield
            return
        self._together = []
        try:
            yield
        finally:
            together, replies = self._together, self._replies
            self._together, self._replies = None, []
            if self._faults.active and together:
                self._faults.detain(partial(self._send_together, together, []))
                together = []
            self._send_together(together, replies)

    def reply(self, conn: Connection, frame: bytes) -> None:
        """A frame for one connection that nothing is measured of, before what else this turn has for it."""
        if self._together is None:
            conn.send(frame)
        else:
            self._replies.append((conn, frame))

    def send(self, path: str, listeners: Listeners, frame: bytes, ts: float, lane: Lane | None = None) -> None:
        """A frame to all `listeners`; the caller has counted it as owed. `lane` keeps the order of its conversation."""
        if not listeners:
            return
        if path in DROPPABLE and self._needs_rollout(listeners, lane):
            # What may be lost does not delay messages.
            self._dropped[path].add(len(listeners))
            return
        together = self._together
        if together is not None and path not in DROPPABLE and not self._needs_rollout(listeners, lane):
            if together:
                last_lane, last_listeners, last = together[-1]
                same = last_listeners is listeners and last.path == path and last_lane is lane
                if same and len(last.frame) + len(frame) <= MAX_JOINED_BYTES:
                    last.join(Parcel(path, frame, (ts,)))
                    return
            together.append((lane, listeners, Parcel(path, frame, (ts,))))
        elif self._faults.active:
            parcel = Parcel(path, frame, (ts,))
            self._faults.detain(lambda: self._dispatch(lane, listeners, parcel))
        else:
            self._dispatch(lane, listeners, Parcel(path, frame, (ts,)))

    def send_joined(self, path: str, listener: Listener, frames: Sequence[tuple[bytes, float]]) -> None:
        """Several frames, each with its moment, to one listener in one send."""
        parcel = Parcel(path, b"".join([frame for frame, _ in frames]), tuple([ts for _, ts in frames]))
        self._dispatch(None, (listener,), parcel)

    def send_rest(self, lane: Lane, listener: Listener) -> None:
        """What waits in `lane` for this one goes ahead of the others: it leaves, but what came before is its own."""
        for rollout in lane.rollouts:
            parcel = rollout.parcel
            if parcel.path in DROPPABLE or listener in rollout.gone or listener not in rollout.listeners[rollout.at :]:
                continue
            rollout.gone.add(listener)
            its = Parcel(parcel.path, parcel.frame, parcel.stamps)
            if self._together is None:
                self._dispatch(None, (listener,), its)
            else:
                self._together.append((None, (listener,), its))

    def flushed(self, token: object) -> None:
        """Frames that had to queue have reached the kernel."""
        now = time.time()
        for parcel in token if isinstance(token, tuple) else (token,):
            if isinstance(parcel, Parcel):
                self._observe(parcel, 1, now)

    def run(self) -> None:
        """Send rollouts for ever, a chunk of one conversation after a chunk of another; a greenlet of its own."""
        while True:
            while self._lanes:
                lane = self._lanes.popleft()
                try:
                    self._send_chunk(lane)
                finally:  # a lane that were lost here would keep its conversation for ever
                    if lane.busy:
                        self._lanes.append(lane)
                give_way()
            self._work.clear()
            self._work.wait()

    # --- together ------------------------------------------------------------------------------------

    def _send_together(
        self, together: list[tuple[Lane | None, Listeners, Parcel]], replies: list[tuple[Connection, bytes]]
    ) -> None:
        due: dict[Connection, list[Parcel]] = {}
        for conn, frame in replies:
            due.setdefault(conn, []).append(Parcel("message", frame, ()))
        for _lane, listeners, parcel in together:
            for listener in listeners:
                conn = listener.conn
                parcels = due.get(conn)
                if parcels is None:
                    due[conn] = [parcel]
                else:
                    parcels.append(parcel)
        started = time.perf_counter()
        for conn, parcels in due.items():
            if len(parcels) == 1:
                sent = conn.send(parcels[0].frame, parcels[0])
            else:
                sent = conn.send(b"".join([parcel.frame for parcel in parcels]), tuple(parcels))
            if sent:
                for parcel in parcels:
                    parcel.sent += 1
            elif not conn.open:
                for parcel in parcels:
                    self._failed[parcel.path].add(len(parcel.stamps))
        took_s, now = time.perf_counter() - started, time.time()
        for _lane, _listeners, parcel in together:
            self._write[parcel.path].observe(took_s)
            self._observe(parcel, parcel.sent, now)

    # --- direct, and in chunks -----------------------------------------------------------------------

    def _dispatch(self, lane: Lane | None, listeners: Listeners, parcel: Parcel) -> None:
        if not self._needs_rollout(listeners, lane):
            self._send_now(listeners, parcel, ())
            return
        lane = lane or Lane()
        if not lane.busy:
            self._lanes.append(lane)
            self._work.set()
        elif lane.rollouts[-1].at == 0 and _fits(lane.rollouts[-1], listeners, parcel):
            lane.rollouts[-1].parcel.join(parcel)
            return
        lane.rollouts.append(Rollout(listeners, parcel))

    def is_large(self, listeners: Listeners) -> bool:
        """Whether a fan-out to these goes in chunks."""
        return len(listeners) > self.chunk

    def _needs_rollout(self, listeners: Listeners, lane: Lane | None) -> bool:
        return self.is_large(listeners) or (lane is not None and lane.busy)

    def _send_chunk(self, lane: Lane) -> None:
        rollout = lane.rollouts[0]
        begin = rollout.at
        # Counted first: whatever goes wrong below, nobody gets a frame twice and the lane moves on.
        rollout.at = begin + self.chunk
        if rollout.at >= len(rollout.listeners):
            lane.rollouts.popleft()
        self._send_now(rollout.listeners[begin : rollout.at], rollout.parcel, rollout.gone)

    def _send_now(self, listeners: Listeners, parcel: Parcel, gone: set[Listener] | tuple[()]) -> None:
        path, frame = parcel.path, parcel.frame
        started = time.perf_counter()
        sent = 0
        if path in DROPPABLE:
            for listener in listeners:
                if listener.conn.offer(frame):
                    sent += 1
                else:
                    self._dropped[path].add()
        else:
            for listener in listeners:
                if gone and listener in gone:
                    continue
                if listener.conn.send(frame, parcel):
                    sent += 1
                elif not listener.conn.open:
                    self._failed[path].add()
        self._write[path].observe(time.perf_counter() - started)
        self._observe(parcel, sent, time.time())

    def _observe(self, parcel: Parcel, n: int, now: float) -> None:
        if n:
            latency = self._latency[parcel.path]
            for ts in parcel.stamps:
                if ts > now:
                    self._skew.add()
                latency.observe(max(0.0, now - ts), n)

    def _waiting(self) -> int:
        return sum(len(r.listeners) - r.at for lane in self._lanes for r in lane.rollouts)


def _fits(rollout: Rollout, listeners: Listeners, parcel: Parcel) -> bool:
    """Whether a parcel may be joined to a rollout that has not begun."""
    return (
        rollout.listeners is listeners
        and not rollout.gone
        and rollout.parcel.path == parcel.path
        and len(rollout.parcel.frame) + len(parcel.frame) <= MAX_JOINED_BYTES
    )
