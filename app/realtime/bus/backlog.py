"""What waits to be published: bounded in frames and in bytes, the oldest makes room.

The oldest, because the log of commits has brought it to the others meanwhile.
"""

from __future__ import annotations

import time
from collections import deque

from gevent.event import Event

from app.realtime.bus.wire import BusFrame

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 8 * 1024 * 1024
MAX_BATCH = 256
MAX_BATCH_BYTES = 256 * 1024


class Backlog:
    """The frames of one shard that Redis has not got yet. `put` never waits; one greenlet takes."""

    def __init__(self, max_frames: int = MAX_WAITING, max_bytes: int = MAX_WAITING_BYTES) -> None:
        """Bounds: more than either, and the oldest frames are dropped."""
        self._frames: deque[tuple[float, BusFrame]] = deque()
        self._bytes = 0
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._filled = Event()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frames: list[BusFrame]) -> list[BusFrame]:
        """Let frames wait; returns those that were dropped to make room."""
        now = time.perf_counter()
        for frame in frames:
            self._frames.append((now, frame))
            self._bytes += len(frame.frame)
        dropped = []
        while len(self._frames) > self._max_frames or self._bytes > self._max_bytes:
            dropped.append(self._pop()[1])
        self._filled.set()
        return dropped

    def wait(self, timeout_s: float) -> bool:
        """Whether something waits, at the latest after `timeout_s`."""
        if not self._frames:
            self._filled.clear()
            self._filled.wait(timeout_s)
        return bool(self._frames)

    def take(self) -> list[tuple[float, BusFrame]]:
        """The oldest frames, as many as make one publish, each with the `perf_counter` at which it came.

        One frame is taken whatever its size.
        """
        batch: list[tuple[float, BusFrame]] = []
        size_bytes = 0
        while self._frames and len(batch) < MAX_BATCH:
            size_bytes += len(self._frames[0][1].frame)
            if batch and size_bytes > MAX_BATCH_BYTES:
                break
            batch.append(self._pop())
        return batch

    def put_back(self, batch: list[tuple[float, BusFrame]]) -> None:
        """What was taken and could not be sent goes to the front again."""
        self._frames.extendleft(reversed(batch))
        self._bytes += sum(len(frame.frame) for _, frame in batch)

    def clear(self) -> list[BusFrame]:
        """Forget everything; returns what that was."""
        forgotten = [frame for _, frame in self._frames]
        self._frames.clear()
        self._bytes = 0
        return forgotten

    def _pop(self) -> tuple[float, BusFrame]:
        waiting = self._frames.popleft()
        self._bytes -= len(waiting[1].frame)
        return waiting
