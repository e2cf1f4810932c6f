"""When a probe runs: beats that do not wait for answers, each moved a little so that probers do not march in step.

Pure: a beat's moment follows from its number, so whoever starts a run can say when it was meant to start.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.triggers.base import BaseTrigger

_ROUNDING_S = 1e-3


@dataclass(frozen=True, slots=True)
class Beats:
    """Beat n lies `every_s` × (n + a share below `jitter`) after `first` (Unix seconds); `seed` gives the share."""

    first: float
    every_s: float
    jitter: float = 0.0
    seed: str = ""

    def at(self, number: int) -> float:
        """The moment of a beat.

        >>> Beats(100.0, 5.0).at(3)
        115.0
        >>> 110.0 <= Beats(100.0, 5.0, 0.2, "berlin canary").at(2) < 111.0
        True
        """
        share = self.jitter * random.Random(f"{self.seed} {number}").random() if self.jitter else 0.0  # noqa: S311
        return self.first + self.every_s * (number + share)

    def last(self, now: float) -> float:
        """The last beat at `now`, or the first when none has come: when the run that starts now was meant to start.

        >>> Beats(100.0, 5.0).last(114.9), Beats(100.0, 5.0).last(99.0)
        (110.0, 100.0)
        """
        number = max(0, math.floor((now - self.first) / self.every_s))
        return self.at(number) if number == 0 or self.at(number) <= now else self.at(number - 1)

    def next(self, after: float) -> float:
        """The first beat later than `after`.

        >>> Beats(100.0, 5.0).next(110.0), Beats(100.0, 5.0).next(3.0)
        (115.0, 100.0)
        """
        number = max(0, math.floor((after - self.first) / self.every_s))
        while self.at(number) <= after:
            number += 1
        return self.at(number)


class BeatTrigger(BaseTrigger):  # type: ignore[misc]
    """The scheduler's view of beats."""

    def __init__(self, beats: Beats) -> None:
        self._beats = beats

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The beat after the one before; missed ones are told one by one, so each is counted."""
        # A datetime has microseconds, and may lie a little before its beat, which must not come again.
        after = previous_fire_time.timestamp() + _ROUNDING_S if previous_fire_time else now.timestamp()
        return datetime.fromtimestamp(self._beats.next(after), UTC)
