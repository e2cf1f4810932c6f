"""How often somebody may try: a moving window for each key, counted on this node."""

from __future__ import annotations

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooMany


class Throttle:
    """At most so many tries in a time for each key."""

    def __init__(self, limit: str, message: str = "too many attempts; wait a minute and try again") -> None:
        """`limit` as in `30/minute`; `message` is for who is beyond it."""
        self._item = parse(limit)
        self._message = message
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def spend(self, *keys: str, cost: int = 1) -> None:
        """Count one try, or `cost` of them, under every key; raises TooMany when one of them is used up."""
        within = [self._windows.hit(self._item, key, cost=cost) for key in keys]  # every key, also after a failure
        if not all(within):
            raise TooMany(self._message)
