"""What one client process counts; plain numbers, sent to the parent every second and added up there."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields

from monitoring.load.latency import Latencies


@dataclass(slots=True)
class Tally:
    """Counts since the start; `live`, `outstanding` and `given_up` are of the moment."""

    live: int = 0
    """Connections that are signed in and have caught up."""
    outstanding: int = 0
    """Sends that wait for their acknowledgement."""
    given_up: int = 0
    """Devices that must not come back (displaced, revoked, token refused)."""
    connects: int = 0
    """Attempts."""
    connects_failed: int = 0
    """Attempts that did not reach `synced`."""
    reconnects: int = 0
    """Attempts that were not the device's first."""
    sends: int = 0
    """Messages; repeats are not counted."""
    repeats: int = 0
    """Sends repeated with the same id."""
    acks: int = 0
    """First acknowledgements."""
    received: int = 0
    """Message rows that came on the wire, old ones and repeats included."""
    owed: int = 0
    """Deliveries owed for what was acknowledged: one for each taking part device of the conversation."""
    applied: int = 0
    """Messages of this run that devices applied."""
    gaps: int = 0
    """Rows that came before an earlier one of their conversation and were not applied."""
    resyncs: int = 0
    drained: int = 0
    """Closes that a `drain` had announced."""
    error_frames: Counter[str] = field(default_factory=Counter)
    unexpected_closes: Counter[str] = field(default_factory=Counter)
    connect_errors: Counter[str] = field(default_factory=Counter)
    """Why connects failed, in words."""
    fanout: Latencies = field(default_factory=Latencies)
    """Receipt of a message by a device, after the server's `ts` in it."""
    ack: Latencies = field(default_factory=Latencies)
    """First acknowledgement, after the time at which the send was due."""
    turns: Latencies = field(default_factory=Latencies)
    """Turns of this process's loop: a frame may have waited that long before it was looked at."""
    busy_s: float = 0.0
    """Time spent in turns of the loop during the traffic."""
    cpu_s: float = 0.0
    """CPU time since the traffic began."""
    rss_bytes: int = 0
    """Memory of this process."""
    ramp: tuple[float, float] = (math.inf, -math.inf)
    """First attempt to connect and the latest success of a first attempt, on the machine's monotonic clock."""

    def add(self, other: Tally) -> None:
        """Add another process's numbers."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, Latencies):
                mine.merge(theirs)
            elif isinstance(mine, tuple):
                self.ramp = min(mine[0], theirs[0]), max(mine[1], theirs[1])
            elif isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, item.name, mine + theirs)

    @property
    def ramp_s(self) -> float:
        """Length of the ramp in seconds; 0 while nobody is connected."""
        return max(0.0, self.ramp[1] - self.ramp[0])

    @property
    def errors(self) -> int:
        """Failed connects, error frames and unexpected closes."""
        return self.connects_failed + self.error_frames.total() + self.unexpected_closes.total()
