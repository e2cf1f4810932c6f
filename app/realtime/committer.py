"""Group commit: the sends that arrive while one commit runs become the next one.

Read callbacks put a `Pending` into the queue and return; one greenlet commits what waits, at most
`MAX_BATCH` at a time, in one database call. The ack leaves only after the commit.

A send that is neither committed nor refused within the SLO is counted as owed right then, so that
a commit path that stands still is seen while it stands, not when it moves again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import gevent
from gevent.queue import Full, Queue

from app import logs
from app.domain.ids import DeviceId
from app.domain.log import Entry, Kind
from app.errors import AppError, Conflict, Forbidden, Unavailable
from app.metrics import FANOUT_SLO_S, Metrics, outcome_of, path_of, requests_of
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.faults import Faults
from app.realtime.hub import Hub
from app.realtime.outlet import Outlet, Reply
from app.realtime.queues import take_batch
from app.services.messages import Messages
from app.store.messages import Committed, NewMessage

MAX_BATCH = 256
MAX_BATCH_CHARS = 131_072
"""Bodies in one commit, half an outbox even where each character takes four bytes: what one commit owes a connection
must find room there at once."""
MAX_WAITING = 10_000
MAX_OVERDUE = 20_000
BUSY_RETRY_MS = 500
PACE_S = 0.02
"""Commits begin at least so far apart, because each has a fixed cost for the database and for every node's bus. Who
sends after a quiet moment does not wait."""
WATCH_S = 0.05
ANSWER_CHECK_S = 0.005

log = logs.get("committer")


@dataclass(slots=True, eq=False)
class Pending:
    """A send on its way; `probe`: of a probe, which is counted apart."""

    conn: Connection
    message: NewMessage
    arrived: float
    probe: bool

    @property
    def key(self) -> tuple[DeviceId, str]:
        """What a repetition of the same send shares with it."""
        return self.message.device, self.message.client_id


class Numbers:
    """What is counted of sends, of those of users or of those of probes."""

    def __init__(self, metrics: Metrics, *, probe: bool) -> None:
        self.path = path_of("message", probe=probe)
        self.stage = metrics.histogram("messenger_fanout_stage_seconds", self.path, "commit")
        self.failed = metrics.counter("messenger_fanout_errors_total", self.path, "commit")
        self.outcomes = requests_of(metrics, "ws")[probe]


class Committer:
    """One per node."""

    def __init__(self, messages: Messages, hub: Hub, outlet: Outlet, metrics: Metrics, faults: Faults) -> None:
        self._messages = messages
        self._faults = faults
        self._hub = hub
        self._outlet = outlet
        self._queue: Queue[Pending] = Queue(maxsize=MAX_WAITING)
        self._under_way: list[Pending] = []
        # Deliveries counted as owed before the commit; kept over refusals, as clients repeat with the same id.
        self._overdue: OrderedDict[tuple[DeviceId, str], int] = OrderedDict()
        self._rows = metrics.histogram("messenger_send_batch_rows")
        self._retransmits = metrics.counter("messenger_send_retransmits_total")
        self._numbers = {probe: Numbers(metrics, probe=probe) for probe in (False, True)}
        metrics.gauge("messenger_send_queue_length").read = self._queue.qsize
        self._taken = self._answered = 0

    def put(self, conn: Connection, message: NewMessage, *, probe: bool) -> bool:
        """Take a send, of a probe or of a user; False when too many wait. Called in read callbacks."""
        if self._faults.refuse_sends:
            self._numbers[probe].outcomes["server_error"].add()
            return False
        try:
            self._queue.put_nowait(Pending(conn, message, time.perf_counter(), probe))
        except Full:
            self._numbers[probe].outcomes["server_error"].add()
            return False
        self._taken += 1
        return True

    def wait_for_answers(self, timeout_s: float) -> None:
        """Until every send taken so far is answered, one way or the other; at most `timeout_s` seconds."""
        taken, deadline = self._taken, time.monotonic() + timeout_s
        while self._answered < taken and time.monotonic() < deadline:
            gevent.sleep(ANSWER_CHECK_S)

    def run(self) -> None:
        """Commit for ever; a greenlet of its own."""
        begun_at = 0.0
        while True:
            self._queue.peek()
            gevent.sleep(max(0.0, begun_at + PACE_S - time.monotonic()))
            begun_at = time.monotonic()
            batch: list[Pending] = take_batch(self._queue, MAX_BATCH, size=_size_chars, max_size=MAX_BATCH_CHARS)
            self._under_way = self._without_lost(batch)
            try:
                if self._under_way:
                    self._commit(self._under_way)
            finally:
                self._under_way = []
                self._answered += len(batch)

    def _without_lost(self, batch: list[Pending]) -> list[Pending]:
        """What is to be committed of a batch. What a fault switch loses is acknowledged here, and that is its end."""
        if not self._faults.drop_every:
            return batch
        kept = []
        for pending in batch:
            if self._faults.loses_send():
                self._numbers[pending.probe].outcomes["ok"].add()
                pending.conn.send(wire.frame(_empty_ack(pending.message)))
            else:
                kept.append(pending)
        return kept

    def _commit(self, batch: list[Pending]) -> None:
        try:
            answers = self._messages.commit([pending.message for pending in batch])
        except AppError as error:
            self._refuse(batch, error)
        except Exception:
            # The node must go on committing; the clients repeat with the same ids.
            log.exception("commit failed")
            self._refuse(batch, Unavailable("the message could not be stored; send it again"))
        else:
            self._answer(batch, answers)

    def watch(self) -> None:
        """Count overdue sends as owed, for ever; a greenlet of its own."""
        while True:
            gevent.sleep(WATCH_S)
            self._count_overdue([*self._under_way, *self._queue.queue], time.time())

    def _count_overdue(self, waiting: Iterable[Pending], now: float) -> None:
        for pending in waiting:
            if now - pending.message.ts <= FANOUT_SLO_S:
                break  # what follows came later
            if pending.key not in self._overdue:
                owed = self._overdue[pending.key] = self._hub.live_listeners(pending.message.conv)
                self._hub.owe(self._numbers[pending.probe].path, owed)
        while len(self._overdue) > MAX_OVERDUE:
            self._overdue.popitem(last=False)

    def _answer(self, batch: list[Pending], answers: Sequence[Committed | AppError]) -> None:
        now = time.perf_counter()
        self._rows.observe(len(batch))
        entries: list[Entry] = []
        owed: list[int] = []
        replies: list[Reply] = []
        for pending, stored in zip(batch, answers, strict=True):
            numbers = self._numbers[pending.probe]
            numbers.stage.observe(now - pending.arrived)
            answer = _judge(stored) if isinstance(stored, Committed) else stored
            if isinstance(answer, AppError):
                replies.append((pending.conn, self._error(pending, answer)))
                continue
            message = pending.message
            numbers.outcomes["ok"].add()
            ack = wire.Ack(message.client_id, message.conv, answer.seq, answer.ts)
            replies.append((pending.conn, wire.frame(ack)))
            counted = self._overdue.pop(pending.key, 0)
            if answer.outcome != "new":
                self._retransmits.add(not pending.probe)
                continue
            owed.append(counted)
            entries.append(
                Entry(
                    message.conv,
                    answer.seq,
                    Kind.MESSAGE,
                    message.user,
                    answer.ts,
                    message.device,
                    message.client_id,
                    message.body,
                )
            )
        self._outlet.entries(entries, owed, replies)

    def _refuse(self, batch: list[Pending], error: AppError) -> None:
        for pending in batch:
            pending.conn.send(self._error(pending, error))

    def _error(self, pending: Pending, error: AppError) -> bytes:
        server_side = error.http_status >= 500
        numbers = self._numbers[pending.probe]
        numbers.outcomes[outcome_of(error.http_status)].add()
        numbers.failed.add()
        retry = BUSY_RETRY_MS if server_side else None
        return wire.error_frame(error, pending.message.client_id, retry)


def _empty_ack(message: NewMessage) -> wire.Ack:
    """The ack of a message that was not stored: no row has the number 0, so no device takes it for one it has."""
    return wire.Ack(message.client_id, message.conv, 0, message.ts)


def _size_chars(pending: Pending) -> int:
    return len(pending.message.body)


def _judge(answer: Committed) -> Committed | AppError:
    """The error that a refused send turns into; a stored one stays what it is."""
    if answer.outcome == "forbidden":
        return Forbidden("you are not in this conversation")
    if answer.outcome == "conflict":
        return Conflict("this id was used for another message")
    return answer
