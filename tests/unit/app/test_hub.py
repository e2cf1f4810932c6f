"""The hub's order: nothing out of seq, twice or with a hole, whatever the events' order of arrival."""

from __future__ import annotations

import itertools
import time
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Kind
from app.metrics import Metrics
from app.realtime.connection import Connection
from app.realtime.faults import Faults
from app.realtime.hub import Hub, Sequenced, Session

CONV = ConversationId(1)
_numbers = itertools.count()


class Sink:
    """Stands where a connection would: keeps the frames it is sent."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.frames: list[int] = []
        self.closed_with = 0

    def send(self, frame: bytes, _stamp: float = 0.0) -> bool:
        self.frames.append(int(frame))
        return True

    def close(self, code: int, _reason: str = "") -> None:
        self.closed_with = code


def session(user: int = 1, device: int = 1) -> tuple[Session, Sink]:
    sink = Sink()
    return Session(cast(Connection, sink), UserId(user), DeviceId(device), 0.0, 0.0), sink


def hub() -> tuple[Hub, Metrics]:
    metrics = Metrics()
    return Hub(metrics, Faults(metrics, allowed=True)), metrics


def event(seq: int, kind: Kind = Kind.MESSAGE, user: int = 9) -> Sequenced:
    return Sequenced(CONV, seq, kind, UserId(user), time.time(), str(seq).encode())


def live(registry: Hub, head: int = 0, **who: Any) -> tuple[Session, Sink]:
    """A session that has caught up with `head`."""
    listener, sink = session(**who)
    registry.attach(listener)
    registry.subscribe(listener, CONV)
    assert registry.caught_up(listener, CONV, head)
    return listener, sink


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=8))
def test_any_order_of_arrival_is_delivered_in_seq_order_once(order: list[int], again: list[int]) -> None:
    registry, _ = hub()
    _, sink = live(registry)
    for seq in [*order, *again]:
        registry.deliver(event(seq))
    assert sink.frames == list(range(1, 9))


def test_what_follows_a_hole_waits_for_it() -> None:
    registry, _ = hub()
    _, sink = live(registry)
    registry.deliver(event(1))
    registry.deliver(event(3))
    assert sink.frames == [1]
    registry.deliver(event(2))
    assert sink.frames == [1, 2, 3]


def test_a_session_that_catches_up_misses_nothing_between_its_page_and_the_live_events() -> None:
    registry, _ = hub()
    live(registry, head=5)
    newcomer, sink = session(device=2)
    registry.attach(newcomer)
    registry.subscribe(newcomer, CONV)
    registry.deliver(event(6))  # while the page of 3 to 5 is being read
    assert sink.frames == []
    assert not registry.caught_up(newcomer, CONV, 5), "6 came meanwhile: another page must be read"
    assert registry.caught_up(newcomer, CONV, 6)
    registry.deliver(event(7))
    assert sink.frames == [7]


def test_a_session_that_read_ahead_of_the_bus_gets_no_row_twice() -> None:
    registry, _ = hub()
    _, other = live(registry, head=5)
    newcomer, sink = session(device=2)
    registry.attach(newcomer)
    registry.subscribe(newcomer, CONV)
    assert registry.caught_up(newcomer, CONV, 7)  # its page held 6 and 7 already
    for seq in (6, 7, 8):
        registry.deliver(event(seq))
    assert sink.frames == [8]
    assert other.frames == [6, 7, 8]


def test_the_first_listener_learns_of_what_came_while_it_read() -> None:
    registry, _ = hub()
    first, sink = session()
    registry.attach(first)
    registry.subscribe(first, CONV)
    registry.deliver(event(4))
    assert not registry.caught_up(first, CONV, 3)
    assert registry.caught_up(first, CONV, 4)
    registry.deliver(event(5))
    assert sink.frames == [5]


def test_a_newer_connection_displaces_the_older() -> None:
    registry, metrics = hub()
    _, older = live(registry)
    _, newer = live(registry)
    registry.deliver(event(1))
    assert older.closed_with == 4409
    assert older.frames == []
    assert newer.frames == [1]
    assert metrics.counter("messenger_sessions_displaced_total").value == 1


def test_signing_in_that_is_overtaken_displaces_itself() -> None:
    registry, _ = hub()
    slow, older = session()
    _, newer = live(registry)
    assert not registry.attach(slow)
    registry.deliver(event(1))
    assert (older.closed_with, older.frames) == (4409, [])
    assert (newer.closed_with, newer.frames) == (0, [1])


def test_who_leaves_hears_that_and_nothing_after() -> None:
    registry, _ = hub()
    _, leaver = live(registry, user=1, device=1)
    _, stays = live(registry, user=2, device=2)
    registry.deliver(event(1, Kind.LEFT, user=1))
    registry.deliver(event(2))
    assert leaver.frames == [1]
    assert stays.frames == [1, 2]


def test_who_joins_is_subscribed_and_asked_to_catch_up() -> None:
    registry, _ = hub()
    newcomer, _ = session(user=3)
    registry.attach(newcomer)
    asked: list[tuple[Session, int, int]] = []
    registry.let_in = lambda *told: asked.append(told)
    registry.deliver(event(4, Kind.JOINED, user=3))
    assert asked == [(newcomer, CONV, 3)]
    assert newcomer.behind == {CONV}


def test_who_was_let_in_gets_rows_through_pages_until_caught_up() -> None:
    registry, _ = hub()
    live(registry, head=3)
    newcomer, sink = session(user=3, device=3)
    registry.attach(newcomer)
    registry.deliver(event(4, Kind.JOINED, user=3))
    registry.deliver(event(5))
    assert sink.frames == []
    assert registry.caught_up(newcomer, CONV, 5)
    registry.deliver(event(6))
    assert sink.frames == [6]


def test_owed_is_counted_for_every_listener_and_not_twice_when_it_was_overdue() -> None:
    registry, metrics = hub()
    for device in (1, 2, 3):
        live(registry, user=device, device=device)
    owed = metrics.counter("messenger_fanout_owed_total", "message")
    registry.deliver(event(1))
    assert owed.value == 3
    registry.owe("message", 2)
    late = event(2)
    registry.deliver(Sequenced(late.conv, 2, late.kind, late.user, late.ts, late.frame, owed=2))
    assert owed.value == 6


def test_a_stalled_fanout_owes_but_does_not_deliver() -> None:
    metrics = Metrics()
    faults = Faults(metrics, allowed=True)
    registry = Hub(metrics, faults)
    _, sink = live(registry)
    faults.switch(0, stall=True)
    registry.deliver(event(1))
    assert sink.frames == []
    assert metrics.counter("messenger_fanout_owed_total", "message").value == 1
    assert metrics.histogram("messenger_fanout_latency_seconds", "message").counts == [0] * 15
