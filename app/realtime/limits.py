"""How much one device, and all devices of one person together, may ask of a node.

The generic cell rate algorithm (ITU-T I.371): all that is kept is the moment at which everything asked for so far
would be due at the even rate. Whoever is more than a burst ahead of it must wait. Counted by node: somebody who
spreads their devices over several nodes gets that much from each of them.
"""

from __future__ import annotations

BURST_S = 4.0
USER_SHARE = 4.0
"""What all devices of a person on one node may do, as a multiple of what one may."""


class Account:
    """What several devices of one person share: the moment (monotonic seconds) their commands are due."""

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0.0


def spend(due: float, rate_per_s: float, now: float) -> float | None:
    """The new `due` after one more command now, or None when it comes too soon. Times in monotonic seconds.

    >>> spend(0.0, 10, 1000.0)
    1000.1
    >>> spend(1000.0 + BURST_S, 10, 1000.0) is None
    True
    """
    due = max(due, now) + 1 / rate_per_s
    return due if due - now <= BURST_S else None
