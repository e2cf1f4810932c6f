"""Latencies in buckets that grow by a constant factor: any percentile to 2 %, in a few KB, mergeable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SMALLEST_S = 1e-5
GROWTH = 1.04
"""A bucket is told by its geometric middle, so a value is off by at most sqrt(1.04) - 1 < 2 %."""
_LARGEST_S = 1000.0
_PER_LOG = 1 / math.log(GROWTH)
_BUCKETS = int(math.log(_LARGEST_S / SMALLEST_S) * _PER_LOG) + 1


@dataclass(slots=True)
class Latencies:
    """A distribution of seconds. What is below SMALLEST_S (or negative: two clocks) counts as SMALLEST_S."""

    counts: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    count: int = 0
    max_s: float = 0.0

    def record(self, value_s: float) -> None:
        """Count one value."""
        self.count += 1
        if value_s > self.max_s:
            self.max_s = value_s
        at = int(math.log(value_s / SMALLEST_S) * _PER_LOG) if value_s > SMALLEST_S else 0
        self.counts[at if at < _BUCKETS else -1] += 1

    def merge(self, other: Latencies) -> None:
        """Add the values of another distribution."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.count += other.count
        self.max_s = max(self.max_s, other.max_s)

    def quantile(self, share: float) -> float | None:
        """The value in seconds that `share` (0 to 1) of the values do not exceed; None when there are none.

        >>> spread = Latencies()
        >>> for ms in range(1, 101):
        ...     spread.record(ms / 1000)
        >>> round(spread.quantile(0.5), 2), spread.quantile(1.0)
        (0.05, 0.1)
        """
        rank = math.ceil(share * self.count)
        if not self.count:
            return None
        if rank >= self.count:
            return self.max_s
        passed = 0
        for at, count in enumerate(self.counts):
            passed += count
            if passed >= max(1, rank):
                return min(self.max_s, SMALLEST_S * math.pow(GROWTH, at + 0.5))
        return self.max_s
