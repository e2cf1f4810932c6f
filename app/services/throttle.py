"""How often somebody may try: a moving window for each key, counted on this node."""

from __future__ import annotations

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooMany


class Throttle:
    """At most `per_minute` tries a minute for each key."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def spend(self, *keys: str) -> None:
        """Count one try under every key; raises TooMany when one of them is used up."""
        within = [self._windows.hit(self._item, key) for key in keys]  # every key is counted, also after a failure
        if not all(within):
            raise TooMany("too many attempts; wait a minute and try again")
