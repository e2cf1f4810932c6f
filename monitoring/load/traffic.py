"""When sends are due, and who sends them where.

Open loop: a send is due at its time, whether or not earlier ones were answered. A loop that waited for
answers would send less to a slow server and so not see how slow it is (coordinated omission).
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from monitoring.load.plan import Shard


class Due(NamedTuple):
    """A send: the client's place in its shard, the conversation, and its time on the monotonic clock."""

    place: int
    conv: int
    at: float


class Traffic:
    """The schedule of one process."""

    def __init__(self, shard: Shard, rate_per_s: float, begin: float, duration_s: float) -> None:
        self._people = shard.people
        self._pairs, self._weights = _pairs(shard), list(shard.sizes.values())
        self._rate_per_s = rate_per_s
        self._begin = begin
        self._total = int(rate_per_s * duration_s)
        self._made = 0

    def due(self, now: float) -> Iterator[Due]:
        """The sends whose time has come; each is given once."""
        while self._made < self._total and (at := self._begin + self._made / self._rate_per_s) <= now:
            self._made += 1
            yield Due(*self._pick(), at)

    def wait_s(self, now: float) -> float:
        """Seconds until the next send is due; infinite when none is left."""
        if self._made >= self._total:
            return float("inf")
        return max(0.0, self._begin + self._made / self._rate_per_s - now)

    def _pick(self) -> tuple[int, int]:
        if not self._pairs:
            place = random.randrange(len(self._people))  # noqa: S311
            return place, random.choice(self._people[place].conversations)  # noqa: S311
        places, convs = random.choices(self._pairs, self._weights)[0]  # noqa: S311
        at = random.randrange(len(places))  # noqa: S311
        return places[at], convs[at]


def _pairs(shard: Shard) -> list[tuple[array[int], array[int]]]:
    """For each wanted size: (places of clients, conversations), side by side."""
    by_size = {size: (array("q"), array("q")) for size in shard.sizes}
    for place, person in enumerate(shard.people if by_size else ()):
        for conv in person.conversations:
            if (pair := by_size.get(shard.members[conv])) is not None:
                pair[0].append(place)
                pair[1].append(conv)
    return list(by_size.values())
