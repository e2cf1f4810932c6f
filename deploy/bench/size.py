"""How big a run is. The full size is that of the figures; a small one only shows that the benchmarks work."""

from __future__ import annotations

from dataclasses import dataclass

FULL = 15_000


@dataclass(frozen=True)
class Size:
    """`listeners` are connections on one process; `flask_sock` are fewer, each needs two descriptors there.

    `rounds` take turns within a benchmark and are short; `passes` are long.
    """

    listeners: int
    flask_sock: int
    connects: int
    senders: int
    rounds: int
    passes: int
    phase_s: float
    settle_s: float


def of(listeners: int) -> Size:
    """The size of a run with so many listeners; at least 4."""
    full = listeners >= FULL
    return Size(
        listeners=listeners,
        flask_sock=min(8_000, listeners),
        connects=min(10_000, listeners),
        senders=min(200, listeners),
        rounds=15 if full else 2,
        passes=3 if full else 1,
        phase_s=5.0 if full else 0.3,
        settle_s=5.0 if full else 0.2,
    )
