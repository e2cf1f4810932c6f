"""Fault switches for rehearsals: fan-out made slow or stopped, sends or connections refused, sends lost. Only in
development.

What is detained keeps its order and is delivered when its time has come or the switch is
turned off; nothing is lost, so what the alerts see is exactly a slow or stalled fan-out. `drop_every` is the one
switch that loses: its sends are acknowledged and gone, which no number of the server's own can show.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.errors import NotFound
from app.metrics import Metrics


class Faults:
    """The switches of one node; all off until `switch`."""

    def __init__(self, metrics: Metrics, *, allowed: bool) -> None:
        self._allowed = allowed
        self._delay_s = 0.0
        self._stalled = False
        self._detained: deque[tuple[float, Callable[[], None]]] = deque()
        self._changed = Event()
        names = ("fanout_delay", "fanout_stall", "refuse_sends", "refuse_connects", "drop_every")
        self._gauges = {name: metrics.gauge("messenger_fault_active", name) for name in names}
        self.active = False
        """Whether fan-out must go through `detain`: a switch is on, or something still waits."""
        self.refuse_sends = False
        """Whether sends are answered as if too many waited."""
        self.refuse_connects = False
        """Whether handshakes are answered as if the node were full."""
        self.drop_every = 0
        """Of so many sends one is acknowledged and lost; 0: none is."""
        self._sends = 0

    def switch(
        self,
        delay_ms: int,
        stall: bool,
        refuse_sends: bool = False,
        refuse_connects: bool = False,
        drop_every: int = 0,
    ) -> None:
        """Turn the switches; raises NotFound where they do not exist."""
        if not self._allowed:
            raise NotFound
        self._delay_s, self._stalled = delay_ms / 1000, stall
        self.refuse_sends, self.refuse_connects = refuse_sends, refuse_connects
        self.drop_every, self._sends = drop_every, 0
        switches = (delay_ms > 0, stall, refuse_sends, refuse_connects, drop_every > 0)
        for gauge, on in zip(self._gauges.values(), switches, strict=True):
            gauge.set(float(on))
        self._settle()
        self._changed.set()

    def loses_send(self) -> bool:
        """Whether the send that is asked about is one of those to be lost; asked once for each while `drop_every`."""
        self._sends += 1
        return self._sends % self.drop_every == 0

    def detain(self, act: Callable[[], None]) -> None:
        """Do this later, after everything that was detained before it."""
        self._detained.append((time.monotonic() + self._delay_s, act))
        self._changed.set()

    def run(self) -> None:
        """Release what is due, for ever; a greenlet of its own."""
        while True:
            self._changed.wait()
            self._changed.clear()
            while self._detained and not self._stalled:
                due, act = self._detained[0]
                wait_s = min(due, time.monotonic() + self._delay_s) - time.monotonic()
                if wait_s > 0:
                    gevent.sleep(wait_s)
                    continue
                self._detained.popleft()
                act()
            self._settle()

    def _settle(self) -> None:
        self.active = bool(self._delay_s or self._stalled or self._detained)
