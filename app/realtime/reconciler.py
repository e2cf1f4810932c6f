"""Reading the log of commits, so that a frame the bus lost is late by a poll and not lost.

Each poll reads all visible rows at or past the position and then moves the position to the
snapshot's xmin: rows are read again while an older transaction is open, which is harmless because
the hub drops what it knows.
"""

from __future__ import annotations

import time

import gevent

from app import logs
from app.errors import AppError
from app.metrics import Metrics
from app.realtime.hub import Hub
from app.realtime.outlet import sequenced
from app.services.messages import Messages

POLL_S = 0.2

log = logs.get("reconciler")


class Reconciler:
    """One per node."""

    def __init__(self, messages: Messages, hub: Hub, metrics: Metrics) -> None:
        self._messages = messages
        self._hub = hub
        self._recovered = metrics.counter("messenger_fanout_recovered_total", "message")
        self._position: str | None = None
        self._read_at = time.monotonic()
        metrics.gauge("messenger_log_lag_seconds").read = self.lag_s

    def lag_s(self) -> float:
        """Seconds since the log was last read to its end."""
        return time.monotonic() - self._read_at

    def start(self) -> None:
        """Take the position to poll from; before the first connection is accepted. Raises AppError."""
        self._position = self._messages.position()
        self._read_at = time.monotonic()

    def run(self) -> None:
        """Poll for ever; a greenlet of its own."""
        failing = False
        while True:
            gevent.sleep(POLL_S)
            try:
                self.poll()
                failing = False
            except AppError as error:
                if not failing:
                    log.warning("the log of commits cannot be read", error=error.message)
                failing = True

    def poll(self) -> None:
        """One poll. Raises AppError."""
        assert self._position is not None  # noqa: S101  start() came first
        position, entries = self._messages.poll(self._position)
        for entry in entries:
            if self._hub.wants(entry.conv, entry.seq, entry.kind) and self._hub.deliver(sequenced(entry)):
                self._recovered.add()
        self._position = position
        self._read_at = time.monotonic()
