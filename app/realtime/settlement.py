"""Was it really delivered? Each row of the log is owed to the devices that hear it, and settled 30 seconds later.

What is owed comes from polls of the log, never from the bus: a fan-out that loses rows must not lose the account
of them, too. A delivery is confirmed when the device said `delivered` for it in time. Devices that went away
meanwhile are left out; what they missed comes when they return.

Nothing here asks the database. What is owed is kept by range of a log and shared tuple of listeners, what
was acknowledged for at least as long as anything waits for it, so memory follows the traffic of a minute.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from app.domain.ids import ConversationId, DeviceId
from app.metrics import Metrics
from app.realtime.hub import Hub, Session

SETTLE_AFTER_S = 30.0
"""A delivery must be acknowledged within this time (the delivery SLO)."""
KEEP_S = SETTLE_AFTER_S + 10.0
"""How long a generation lasts: a device may acknowledge a row before the poll that owes it, by what polls are late."""
NEWCOMER_S = 1.0
MAX_OWED = 200_000
"""Ranges that may wait; beyond it the oldest is settled early, as what is acknowledged by then."""


@dataclass(slots=True)
class Owed:
    """The rows `first` to `last` of a conversation, owed to `listeners` until `deadline` (monotonic seconds)."""

    deadline: float
    conv: ConversationId
    first: int
    last: int
    listeners: tuple[Session, ...]


class Settlement:
    """One per node."""

    def __init__(self, hub: Hub, metrics: Metrics) -> None:
        self._hub = hub
        self._settled = metrics.counter("messenger_deliveries_settled_total")
        self._confirmed = metrics.counter("messenger_deliveries_confirmed_total")
        self._owed: deque[Owed] = deque()
        self._acknowledged: list[dict[tuple[DeviceId, ConversationId], int]] = [{}, {}]
        self._counted: list[dict[ConversationId, int]] = [{}, {}]
        self._turned_at = 0.0

    def owe(self, conv: ConversationId, first: int, last: int, now: float) -> None:
        """The log has the rows `first` to `last` of `conv`; polls may tell of a row more than once.

        Nothing is owed in conversations of probes.
        """
        listeners = self._hub.listeners(conv)
        if not listeners or listeners[0].probe:  # the others are probes, too: what they are owed is not the users'
            return
        newer, older = self._counted
        counted = max(newer.get(conv, 0), older.get(conv, 0))
        self._counted[0][conv] = max(last, counted)
        if last <= counted:
            return
        self._owed.append(Owed(now + SETTLE_AFTER_S, conv, max(first, counted + 1), last, listeners))
        if len(self._owed) > MAX_OWED:
            self._settle(self._owed.popleft())

    def acknowledged(self, device: DeviceId, conv: ConversationId, seq: int) -> None:
        """The device, which hears `conv`, has stored everything through `seq`. Called in read callbacks."""
        key, newest = (device, conv), self._acknowledged[0]
        if seq > newest.get(key, 0):
            newest[key] = seq

    def settle(self, now: float) -> None:
        """Settle what is due; `now` is monotonic."""
        while self._owed and self._owed[0].deadline <= now:
            self._settle(self._owed.popleft())
        if now - self._turned_at > KEEP_S:
            # Two generations: what the older one holds was said long before anything that still waits was owed.
            self._turned_at = now
            self._acknowledged = [{}, self._acknowledged[0]]
            self._counted = [{}, self._counted[0]]

    def forget(self) -> None:
        """Another database answers: nothing of the old one is owed any more."""
        self._owed.clear()
        self._acknowledged, self._counted = [{}, {}], [{}, {}]

    def _settle(self, owed: Owed) -> None:
        # Who connected just before the row may have named it in `hello`, where nothing is acknowledged.
        since_before = time.time() - SETTLE_AFTER_S - NEWCOMER_S
        newer, older = self._acknowledged
        rows, conv = owed.last - owed.first + 1, owed.conv
        settled = confirmed = 0
        for session in self._hub.still_hear(owed.listeners, conv):
            if session.since < since_before:
                key = (session.device, conv)
                reached = max(newer.get(key, 0), older.get(key, 0))
                settled += rows
                confirmed += min(rows, max(0, reached - owed.first + 1))
        self._settled.add(settled)
        self._confirmed.add(confirmed)
