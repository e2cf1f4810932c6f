"""What devices have stored and people have read, written in batches that never delay an ack.

Only the highest seq of each (device, conversation) waits, so a device that acknowledges often
costs no more than one that acknowledges at the end.

Receipts are cumulative and told at most once a second for each person and conversation. They are not in the
log: one that the bus lost is made good by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import gevent

from app import logs
from app.domain.ids import ConversationId, DeviceId, UserId
from app.errors import AppError
from app.metrics import READ_SYNC_SLO_S, Metrics, path_of
from app.protocol import wire
from app.realtime.hub import Session
from app.realtime.outlet import Outlet
from app.services.messages import Messages
from app.store.messages import Stored

READS_EVERY_S = 0.2
DELIVERED_EVERY_TURNS = 5
MAX_BATCH = 5_000
MAX_WAITING = 200_000
"""Cursors that may wait while the database is away; a device whose cursor was not taken names it when it returns."""

WATCH_S = 0.5

log = logs.get("cursors")


@dataclass(slots=True, eq=False)
class Mark:
    """A read marker on its way to the database; times in Unix seconds.

    `waiting_since` is when the first of those it stands for came, `owed` what was counted of it since it is overdue.
    `probe`: the person is a probe.
    """

    seq: int
    device: DeviceId
    told_at: float
    waiting_since: float
    probe: bool
    owed: int | None = None


class Cursors:
    """One per node."""

    def __init__(self, messages: Messages, outlet: Outlet, metrics: Metrics) -> None:
        self._messages = messages
        self._outlet = outlet
        self._commit = {
            path: metrics.histogram("messenger_fanout_stage_seconds", path, "commit")
            for path in ("read", "receipt", "probe")
        }
        self.epoch = ""
        """The name of the database that devices were sent rows of; the reconciler keeps it true."""
        self._failed = {
            path: metrics.counter("messenger_fanout_errors_total", path, "commit") for path in ("read", "receipt")
        }
        self._receipts: dict[tuple[ConversationId, UserId], int] = {}
        self._delivered: dict[tuple[DeviceId, ConversationId], Stored] = {}
        self._read: dict[tuple[UserId, ConversationId], Mark] = {}

    def delivered(self, stored: Stored) -> None:
        """A device has stored everything through a seq. Called in read callbacks."""
        key = (stored.device, stored.conv)
        waiting = self._delivered.get(key)
        if waiting is None:
            if len(self._delivered) < MAX_WAITING:
                self._delivered[key] = stored
        elif stored.seq > waiting.seq:
            self._delivered[key] = stored

    def read(self, session: Session, conv: ConversationId, seq: int, now: float) -> None:
        """The person has read everything through `seq`, as this device says. Called in read callbacks."""
        key, device, probe = (session.user, conv), session.device, session.probe
        waiting = self._read.get(key)
        if waiting is None:
            if len(self._read) < MAX_WAITING:
                self._read[key] = Mark(seq, device, now, now, probe)
        elif seq > waiting.seq:
            self._read[key] = Mark(seq, device, now, waiting.waiting_since, probe, waiting.owed)

    def run(self) -> None:
        """Write for ever; a greenlet of its own."""
        turn = 0
        while True:
            gevent.sleep(READS_EVERY_S)
            turn += 1
            self._try("read", self._write_reads)
            if turn % DELIVERED_EVERY_TURNS == 0:
                self._try("receipt", self._write_delivered)
                self._tell_receipts()

    def watch(self) -> None:
        """Count overdue markers as owed to the reader's other devices, for ever; a greenlet of its own.

        A database that stands still is seen while it stands, not when it moves again.
        """
        while True:
            gevent.sleep(WATCH_S)
            self._count_overdue(time.time())

    def _count_overdue(self, now: float) -> None:
        for (user, conv), mark in self._read.items():
            if mark.owed is None and now - mark.waiting_since > READ_SYNC_SLO_S:
                mark.owed = self._outlet.owe_read_sync(conv, user, mark.device)

    def own_word(self, conv: ConversationId, user: UserId, seq: int) -> tuple[DeviceId | None, int]:
        """Who here said the marker that the log already shows, and what was counted of it: its commit is still on
        its way back to us. (None, 0) when it is another node's. What was counted is given out once.
        """
        mark = self._read.get((user, conv))
        if mark is None or mark.seq != seq:
            return None, 0
        counted, mark.owed = mark.owed or 0, 0
        return mark.device, counted

    def _try(self, path: str, write: Callable[[], None]) -> None:
        """Write; what could not be written waits on."""
        try:
            write()
        except AppError as error:
            self._failed[path].add()
            log.warning("cursors could not be written yet", of=path, error=error.message)

    def flush(self) -> None:
        """Write what waits; what could not be written waits on. Raises AppError."""
        self._write_reads()
        self._write_delivered()

    def _write_reads(self) -> None:
        while self._read:
            reads = dict(islice(self._read.items(), MAX_BATCH))
            marks = [(user, conv, mark.seq, mark.told_at) for (user, conv), mark in reads.items()]
            moved = self._messages.read(marks)
            for person, mark in reads.items():
                newer = self._read.get(person)
                if newer is mark:
                    del self._read[person]
                elif newer is not None:  # what it took over from this one was this one's
                    newer.waiting_since, newer.owed = newer.told_at, None
            now = time.time()
            for user, conv, seq in moved:
                mark = reads[user, conv]
                self._commit[path_of("read", probe=mark.probe)].observe(max(0.0, now - mark.told_at))
                self._outlet.read_mark(conv, user, seq, mark.told_at, mark.device, mark.owed or 0)

    def _write_delivered(self) -> None:
        while self._delivered:
            batch = list(islice(self._delivered.items(), MAX_BATCH))
            started = time.perf_counter()
            receipts = self._messages.delivered([stored for _, stored in batch], self.epoch)
            probes = sum([stored.probe for _, stored in batch])
            took_s = time.perf_counter() - started
            self._commit["receipt"].observe(took_s, len(batch) - probes)
            self._commit["probe"].observe(took_s, probes)
            for key, stored in batch:
                if self._delivered.get(key) is stored:
                    del self._delivered[key]
            for conv, user, seq in receipts:
                self._receipts[conv, user] = max(seq, self._receipts.get((conv, user), 0))
        # A dictionary never shrinks: after a storm of reconnects this one would keep a kilobyte a connection.
        self._delivered = {}

    def _tell_receipts(self) -> None:
        receipts, self._receipts = self._receipts, {}
        now = time.time()
        with self._outlet.turn():
            for (conv, user), seq in receipts.items():
                self._outlet.aside("receipt", conv, wire.Receipt(conv, user, seq), now, but=user)
