"""Brings what waits in the outbox to people: grouped, not too often, again until it was taken, and never in silence.

What is due for the same person by the same way goes in one message; after one message the next waits for the way's
`rest_s`, so a storm of alerts becomes few messages. A way that fails `FALLBACK_TRIES` times in a row is an incident
of its own, told by the other ways, which then also bring what it could not; its messages are tried again until
`GIVE_UP_AFTER_TRIES`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from monitoring.oncall.drills import Drills
from monitoring.oncall.schedule import people_of
from monitoring.oncall.settings import Settings
from monitoring.oncall.store import Notification, Store
from monitoring.oncall.ways import Way, WayError

FIRST_RETRY_S = 5.0
MAX_RETRY_S = 120.0
FALLBACK_TRIES = 3
GIVE_UP_AFTER_TRIES = 60

log = logging.getLogger("oncall")


class Dispatcher:
    """Escalates, and sends by one way at a time: each way has a thread of its own that calls `send` every second,
    because one that hangs (the messenger, when that is what is down) must not hold up the others.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        ways: Mapping[str, Way],
        told: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`told` hears of each message whether it was taken; `clock` in Unix seconds."""
        self._store, self._settings, self._ways, self._told, self._clock = store, settings, ways, told, clock
        self._rests_until: dict[tuple[str, str], float] = {}
        self._drills = Drills(store, settings)

    def escalate(self) -> None:
        """Put what is due into the outbox."""
        self._store.escalate(self._settings, self._clock())

    def send(self, by: str | None) -> None:
        """Send what waits for this way, drills last; None: for ways that oncall.yaml does not know any more."""
        for way, person, batch in batches(self._store.due(self._clock(), by)):
            if (way if way in self._ways else None) == by and self._rests_until.get((way, person), 0) <= self._clock():
                self._bring(way, person, batch)
        if by is not None:
            self._drills.send(by, self._ways[by], self._clock())

    def _bring(self, way: str, person: str, batch: Sequence[Notification]) -> None:
        speaker = self._ways.get(way)
        if speaker is None:
            self._failed(way, batch, "no longer in oncall.yaml")
            return
        try:
            speaker.tell(person, batch)
        except WayError as error:
            self._failed(way, batch, str(error))
            return
        self._told(True)
        now = self._clock()
        self._rests_until[way, person] = now + speaker.rest_s
        self._store.sent(batch, now)
        self._store.close_own(f"way-{way}", "a message was taken", now)

    def _failed(self, way: str, batch: Sequence[Notification], problem: str) -> None:
        self._told(False)
        now = self._clock()
        log.warning("%s did not take a message, try %d: %s", way, batch[0].tries + 1, problem)
        for one in batch:
            tries = one.tries + 1
            again = now + min(MAX_RETRY_S, FIRST_RETRY_S * 2**one.tries)
            self._store.failed([one], problem, again if tries < GIVE_UP_AFTER_TRIES else None, now)
            if tries == FALLBACK_TRIES:
                self._store.instead(one, self._other_pairs(one), now)
        if any(one.tries + 1 >= FALLBACK_TRIES for one in batch):
            summary = f"Notifications by {way} are not taken: {problem}. They go by other ways and are tried again."
            self._store.open_own(f"way-{way}", f"Notifications by {way} fail", summary, now)

    def _other_pairs(self, one: Notification) -> Iterable[tuple[str, str]]:
        """Who is called for this at all, by every other way."""
        names = [name for step in self._settings.chain(one.severity) for name in step.tell]
        called = people_of(names, self._settings.rotations, _moment(self._clock()))
        for way in self._settings.others(one.way):
            people = (one.person,) if one.person else tuple(p for p in called if self._settings.people[p].mail)
            yield from ((way, person) for person in self._settings.addressed(way, people))


def batches(due: Iterable[Notification]) -> Iterable[tuple[str, str, list[Notification]]]:
    """(way, person, what they are told), in the order in which the first of each became due."""

    def key(one: Notification) -> tuple[str, str]:
        return one.way, one.person

    grouped = [(group, list(found)) for group, found in groupby(sorted(due, key=key), key=key)]
    for (way, person), found in sorted(grouped, key=lambda pair: pair[1][0].id):
        yield way, person, sorted(found, key=lambda one: one.id)


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
