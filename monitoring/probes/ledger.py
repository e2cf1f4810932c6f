"""What became of every canary: pure bookkeeping, the clock is an argument.

Each canary ends once: delivered or late when it arrives, send_failed when it never got an ack,
lost when it was acknowledged and did not arrive by its deadline; starved when the prober itself did not run for so much
of the time that it cannot say. What arrives again, out of order
or altered is counted beside that, because each is a broken promise of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from monitoring.probes.journal import STARVED

LATE_AFTER_S = 0.25
"""The fan-out SLO's threshold: a later canary is late."""
FINAL_AFTER_S = 30.0
"""The delivery SLO's threshold: a canary that has not arrived by then is lost."""
REMEMBERED = 10_000
ODD = ("duplicate", "reordered", "corrupted")
"""What is counted beside a canary's end."""


@dataclass(slots=True)
class _Canary:
    number: int
    body: str
    intended: float
    acknowledged: bool = False
    arrived: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How a canary ended, or what else was wrong with it (ODD); latency only where it arrived first."""

    outcome: str
    latency_s: float | None = None
    canary_id: str = ""


class Ledger:
    """The canaries of one direction. Times in Unix seconds."""

    def __init__(self, stalled_s: Callable[[float, float], float] = lambda _since, _until: 0.0) -> None:
        """`stalled_s(since, until)`: for how long between two moments the prober itself did not run."""
        self._stalled_s = stalled_s
        self._canaries: dict[str, _Canary] = {}
        self._waiting: deque[str] = deque()
        """Whose deadline has not passed, in the order they were sent."""
        self._last_arrived = 0

    def sent(self, canary_id: str, number: int, body: str, intended: float) -> None:
        """A canary is on its way; `intended` is when the schedule wanted it sent."""
        self._canaries[canary_id] = _Canary(number, body, intended)
        self._waiting.append(canary_id)

    def failed(self, canary_id: str) -> Iterator[End]:
        """It could not even be sent."""
        canary = self._canaries.pop(canary_id, None)
        if canary is not None and not canary.ended:
            yield End("send_failed", None, canary_id)

    def acknowledged(self, canary_id: str) -> None:
        """The server promised to deliver it."""
        if canary := self._canaries.get(canary_id):
            canary.acknowledged = True

    def arrived(self, canary_id: str, body: str, now: float) -> Iterator[End]:
        """It reached the other device."""
        canary = self._canaries.get(canary_id)
        if canary is None:
            return  # sent by an earlier run of this prober, or long settled
        if canary.arrived:
            yield End("duplicate", None, canary_id)
            return
        canary.arrived = True
        if body != canary.body:
            yield End("corrupted", None, canary_id)
        if canary.number < self._last_arrived:
            yield End("reordered", None, canary_id)
        self._last_arrived = max(self._last_arrived, canary.number)
        latency_s = now - canary.intended
        theirs_s = latency_s - self._stalled_s(canary.intended, now)
        if not canary.ended and theirs_s <= FINAL_AFTER_S:  # else it is lost, however late it comes
            canary.ended = True
            if latency_s <= LATE_AFTER_S:
                yield End("delivered", latency_s, canary_id)
            elif theirs_s <= LATE_AFTER_S:
                yield End(STARVED, None, canary_id)
            else:
                yield End("late", latency_s, canary_id)

    def __len__(self) -> int:
        """How many canaries are remembered."""
        return len(self._canaries)

    def settle(self, now: float) -> Iterator[End]:
        """Ends of canaries whose deadline has passed; old ones are forgotten."""
        while self._waiting:
            canary_id = self._waiting[0]
            canary = self._canaries.get(canary_id)  # None: it could not be sent
            # While the prober did not run nothing could arrive; what waits for it is still to be heard.
            if canary and now - canary.intended - self._stalled_s(canary.intended, now) <= FINAL_AFTER_S:
                break
            self._waiting.popleft()
            if canary and not canary.ended:
                canary.ended = True
                yield End("lost" if canary.acknowledged or canary.arrived else "send_failed", None, canary_id)
        waiting = len(self._waiting)
        while len(self._canaries) > max(REMEMBERED, waiting):
            del self._canaries[next(iter(self._canaries))]
