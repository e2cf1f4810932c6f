"""What an incident is and what happens to it. Pure: no clock, no file, no network.

An alert is one incident from its first firing until its end, named by Alertmanager's fingerprint while it is open:
its `startsAt` is only data, because a Prometheus and an Alertmanager that were killed together name another one for
the same trouble. What Alertmanager calls resolved is believed only while the Watchdog lives, and after Prometheus
itself says that the alert is gone: a dead Prometheus resolves everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where an incident stands."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Happened(StrEnum):
    """What a line of the timeline tells."""

    OPENED = "opened"
    SEEN_AGAIN = "seen again"
    DOUBTED = "doubted"
    """Alertmanager called it resolved, and that is not believed yet."""
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    NOTED = "noted"
    ESCALATED = "escalated"
    NOTIFIED = "notified"
    NOT_NOTIFIED = "not notified"
    SILENCED = "silenced"


@dataclass(frozen=True, slots=True)
class Step:
    """So long after it was opened an incident that nobody acknowledged is told to these, by these ways."""

    after_s: int
    tell: tuple[str, ...]
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an incident when it is asked who must hear of it; times in Unix seconds."""

    state: State
    opened_at: float
    steps_taken: int
    silenced: bool = False


def due_steps(told: Told, chain: Sequence[Step], now: float) -> range:
    """Which steps of the chain are due and not taken; none once somebody has acknowledged it.

    A step that was due while on-call itself was away is taken when it is back.

    >>> chain = (Step(0, ("primary",), ("mail",)), Step(600, ("secondary",), ("mail",)))
    >>> fresh = Told(State.FIRING, 100.0, 0)
    >>> list(due_steps(fresh, chain, 100.0)), list(due_steps(fresh, chain, 900.0))
    ([0], [0, 1])
    >>> list(due_steps(Told(State.ACKNOWLEDGED, 100.0, 1), chain, 900.0))
    []
    """
    if told.state is not State.FIRING or told.silenced:
        return range(0)
    due = sum(1 for step in chain if told.opened_at + step.after_s <= now)
    return range(told.steps_taken, max(due, told.steps_taken))
