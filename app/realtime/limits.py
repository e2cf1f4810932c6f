"""How much one device, and all devices of one person, may ask of a node.

A token bucket each: so many commands a second, and bursts of BURST seconds' worth. Counted by node: somebody
who spreads their devices over several nodes gets that much from each of them.
"""

from __future__ import annotations

BURST_S = 4.0
USER_SHARE = 4.0
"""What all devices of a person on one node may do, as a multiple of what one may."""


class Bucket:
    """What may still be done, and when that was last reckoned (Unix seconds)."""

    __slots__ = ("allowance", "at")

    def __init__(self, rate_per_s: float, now: float) -> None:
        self.allowance = rate_per_s * BURST_S
        self.at = now

    def take(self, rate_per_s: float, now: float) -> bool:
        """Take one; False when nothing is left."""
        self.allowance = min(rate_per_s * BURST_S, self.allowance + max(0.0, now - self.at) * rate_per_s)
        self.at = now
        if self.allowance < 1:
            return False
        self.allowance -= 1
        return True
