"""Whether the prober itself was running: a stalled prober must not say that the messenger was slow.

A thread beats many times a second. A beat that comes late means that this process had no processor meanwhile (the
machine is busy, the process was stopped, another thread held the interpreter), and what arrived waited here.
"""

from __future__ import annotations

import threading
import time
from collections import deque

BEAT_S = 0.02
LATE_S = 0.1
"""A shorter stall is not told from an ordinary busy moment, and hides no canary: a delivery may take longer."""
REMEMBERED = 1_000


class Pulse:
    """Times in Unix seconds."""

    def __init__(self, began: float) -> None:
        self._lock = threading.Lock()
        self._last = began
        self._stalls: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)

    def beat(self, now: float) -> None:
        """It runs."""
        with self._lock:
            if now - self._last > LATE_S:
                self._stalls.append((self._last, now))
            self._last = now

    def stalled_s(self, since: float, until: float) -> float:
        """For how long between the two it did not run; a stall that ends just now counts before its beat."""
        with self._lock:
            stalls = (*self._stalls, (self._last, until)) if until - self._last > LATE_S else tuple(self._stalls)
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in stalls)

    def run(self, stop: threading.Event) -> None:
        """Beat until `stop`."""
        while not stop.wait(BEAT_S):
            self.beat(time.time())
