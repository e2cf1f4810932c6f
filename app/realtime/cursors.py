"""What devices have stored and people have read, written in batches that never delay an ack.

Only the highest seq of each (device, conversation) waits, so a device that acknowledges often
costs no more than one that acknowledges at the end.

Receipts are cumulative and told at most once a second for each person and conversation. They are not in the
log: one that the bus lost is made good by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import gevent

from app import logs
from app.domain.ids import ConversationId, DeviceId, UserId
from app.errors import AppError
from app.metrics import Metrics
from app.protocol import wire
from app.realtime.outlet import Outlet
from app.services.messages import Messages
from app.store.messages import Stored

READS_EVERY_S = 0.2
DELIVERED_EVERY_TURNS = 5
MAX_BATCH = 5_000
MAX_WAITING = 200_000
"""Cursors that may wait while the database is away; a device whose cursor was not taken names it when it returns."""

log = logs.get("cursors")


class Cursors:
    """One per node."""

    def __init__(self, messages: Messages, outlet: Outlet, metrics: Metrics) -> None:
        self._messages = messages
        self._outlet = outlet
        self._commit = {
            path: metrics.histogram("messenger_fanout_stage_seconds", path, "commit") for path in ("read", "receipt")
        }
        self.epoch = ""
        """The name of the database that devices were sent rows of; the reconciler keeps it true."""
        self._failed = {
            path: metrics.counter("messenger_fanout_errors_total", path, "commit") for path in ("read", "receipt")
        }
        self._receipts: dict[tuple[ConversationId, UserId], int] = {}
        self._delivered: dict[tuple[DeviceId, ConversationId], Stored] = {}
        self._read: dict[tuple[UserId, ConversationId], tuple[int, float]] = {}

    def delivered(self, stored: Stored) -> None:
        """A device has stored everything through a seq. Called in read callbacks."""
        key = (stored.device, stored.conv)
        waiting = self._delivered.get(key)
        if waiting is None:
            if len(self._delivered) < MAX_WAITING:
                self._delivered[key] = stored
        elif stored.seq > waiting.seq:
            self._delivered[key] = stored

    def read(self, user: UserId, conv: ConversationId, seq: int, now: float) -> None:
        """The person has read everything through `seq`. Called in read callbacks."""
        key = (user, conv)
        if len(self._read) < MAX_WAITING or key in self._read:
            self._read[key] = max((seq, now), self._read.get(key, (0, now)))

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
            moved = self._messages.read([(user, conv, seq, at) for (user, conv), (seq, at) in reads.items()])
            for person, told in reads.items():
                if self._read.get(person) == told:
                    del self._read[person]
            now = time.time()
            for user, conv, seq in moved:
                received_at = reads[user, conv][1]
                self._commit["read"].observe(max(0.0, now - received_at))
                self._outlet.read_mark(conv, user, seq, received_at)

    def _write_delivered(self) -> None:
        while self._delivered:
            batch = list(islice(self._delivered.items(), MAX_BATCH))
            started = time.perf_counter()
            receipts = self._messages.delivered([stored for _, stored in batch], self.epoch)
            self._commit["receipt"].observe(time.perf_counter() - started, len(batch))
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
