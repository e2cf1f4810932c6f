"""The hub's order: nothing out of seq, twice or with a hole, whatever the events' order of arrival."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, cast

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Kind
from app.metrics import READ_SYNC_SLO_S, Metrics
from app.realtime.connection import Connection
from app.realtime.fanout import CHUNK, Fanout
from app.realtime.faults import Faults
from app.realtime.hub import MAX_CONNECTIONS_OF_USER, Hub, Sequenced, Session

CONV = ConversationId(1)
_numbers = itertools.count()


class Sink:
    """Stands where a connection would: keeps the frames it is sent, and how many came in each send."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.sends: list[int] = []
        self.closed_with = 0
        self.slow = False

    @property
    def open(self) -> bool:
        return self.closed_with == 0

    def send(self, frame: bytes, _token: object = None) -> bool:
        if not self.open:
            return False
        numbers = [int(number) for number in frame.split()]
        self.frames += numbers
        self.sends.append(len(numbers))
        return True

    def offer(self, frame: bytes) -> bool:
        return not self.slow and self.send(frame)

    def close(self, code: int, _reason: str = "") -> None:
        self.closed_with = code


def session(user: int = 1, device: int = 1) -> tuple[Session, Sink]:
    """A session whose fencing number is higher than that of any before it."""
    sink = Sink()
    return Session(cast(Connection, sink), UserId(user), DeviceId(device), 0.0, 0.0, next(_numbers)), sink


def hub() -> tuple[Hub, Metrics]:
    metrics = Metrics()
    return Hub(metrics, Fanout(metrics, Faults(metrics, allowed=True))), metrics


def event(seq: int, kind: Kind = Kind.MESSAGE, user: int = 9, conv: int = CONV) -> Sequenced:
    return Sequenced(ConversationId(conv), seq, kind, UserId(user), time.time(), f"{seq} ".encode())


def deliver_all(registry: Hub, events: list[Sequenced]) -> None:
    """Many rows at once, as a poll or a commit does."""
    with registry.turn():
        for each in events:
            registry.deliver(each)


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
    _, newer = live(registry, head=0)
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
    assert registry.behind(newcomer) == [CONV]


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
    registry = Hub(metrics, Fanout(metrics, faults))
    _, sink = live(registry)
    faults.switch(0, stall=True)
    registry.deliver(event(1))
    assert sink.frames == []
    assert metrics.counter("messenger_fanout_owed_total", "message").value == 1
    assert metrics.histogram("messenger_fanout_latency_seconds", "message").count() == 0


# --- signing in without pages --------------------------------------------------------------------------


def test_what_a_stalled_fanout_detained_of_one_turn_is_sent_once_when_it_moves_again() -> None:
    metrics = Metrics()
    faults = Faults(metrics, allowed=True)
    registry = Hub(metrics, Fanout(metrics, faults))
    _, sink = live(registry)
    faults.switch(0, stall=True)
    deliver_all(registry, [event(1), event(2)])
    assert sink.frames == []
    runner = gevent.spawn(faults.run)
    faults.switch(0, stall=False)
    with gevent.Timeout(5):
        while faults.active:
            gevent.sleep(0.001)
    runner.kill()
    assert sink.frames == [1, 2]


def test_who_lacks_nothing_is_live_at_once() -> None:
    registry, _ = hub()
    newcomer, sink = session()
    registry.attach(newcomer)
    assert registry.join(newcomer, CONV, 5)
    registry.deliver(event(6))
    assert sink.frames == [6]


def test_who_joins_after_the_log_moved_on_must_read() -> None:
    registry, _ = hub()
    live(registry, head=6)
    newcomer, sink = session(device=2)
    registry.attach(newcomer)
    assert not registry.join(newcomer, CONV, 5)
    registry.deliver(event(7))
    assert sink.frames == []
    assert registry.caught_up(newcomer, CONV, 7)
    registry.deliver(event(8))
    assert sink.frames == [8]


def test_who_joins_ahead_of_the_bus_gets_no_row_twice() -> None:
    registry, _ = hub()
    _, other = live(registry, head=5)
    newcomer, sink = session(device=2)
    registry.attach(newcomer)
    assert registry.join(newcomer, CONV, 6)
    registry.deliver(event(6))
    registry.deliver(event(7))
    assert (other.frames, sink.frames) == ([6, 7], [7])


def test_what_passes_by_unheard_is_remembered_while_somebody_signs_in() -> None:
    registry, _ = hub()
    with registry.overhear() as heard:
        registry.deliver(event(6))
        assert registry.lacks(ConversationId(2), 3) is None
    registry.deliver(event(1, conv=3))
    assert set(heard.heads) == {CONV, 2}


def test_a_session_ahead_is_not_passed_over_when_the_live_ones_have_gone() -> None:
    registry, _ = hub()
    first, _ = live(registry, head=5)
    ahead, sink = session(device=2)
    registry.attach(ahead)
    assert registry.join(ahead, CONV, 7)
    registry.detach(first)
    third, _ = session(device=3)
    registry.attach(third)
    registry.subscribe(third, CONV)
    assert registry.caught_up(third, CONV, 9), "it has read through 9; the bus has told through 5"
    for seq in range(6, 11):
        registry.deliver(event(seq))
    assert sink.frames == [8, 9, 10]


@given(st.data())
def test_stale_state_and_events_in_any_order_equal_a_fresh_read(data: st.DataObject) -> None:
    """Sessions sign in at any moment, from any cursor, while the bus lags behind the log: each has all rows once."""
    registry, _ = hub()
    rows = data.draw(st.integers(1, 12), label="rows in the end")
    committed, told = 0, data.draw(st.permutations(range(1, rows + 1)), label="order on the bus")
    on_their_way: list[int] = []
    sinks: list[tuple[int, Sink]] = []

    def read(reader: Session, sink: Sink, after: int) -> None:
        """Pages, as the joiner sends them."""
        while True:
            page = list(range(after + 1, committed + 1))
            sink.frames += page
            after = committed
            if registry.caught_up(reader, CONV, after):
                return

    for seq in range(1, rows + 1):
        committed = seq
        on_their_way.append(seq)
        for _ in range(data.draw(st.integers(0, 2), label="arrive now")):
            arriving = [s for s in told if s in on_their_way]
            if arriving:
                on_their_way.remove(arriving[0])
                registry.deliver(event(arriving[0]))
        if data.draw(st.booleans(), label="somebody comes"):
            newcomer, sink = session(device=len(sinks) + 1)
            cursor = data.draw(st.integers(0, committed), label="cursor")
            registry.attach(newcomer)
            sinks.append((cursor, sink))
            if cursor < committed or not registry.join(newcomer, CONV, committed):
                registry.subscribe(newcomer, CONV, committed)
                read(newcomer, sink, cursor)
    for seq in [s for s in told if s in on_their_way]:
        registry.deliver(event(seq))
    for cursor, sink in sinks:
        assert sink.frames == list(range(cursor + 1, rows + 1))


# --- displacement, revocation, read markers -----------------------------------------------------------


def test_a_connection_on_another_node_displaces_this_one_by_its_number() -> None:
    registry, _ = hub()
    here, sink = live(registry)
    registry.connected_elsewhere(here.device, here.fence)
    assert sink.closed_with == 0, "that was this one"
    registry.connected_elsewhere(here.device, here.fence + 1)
    assert sink.closed_with == 4409


def test_a_revoked_device_hears_why_and_its_sisters_too() -> None:
    registry, metrics = hub()
    _, revoked = live(registry, user=1, device=1)
    _, sister = live(registry, user=1, device=2)
    _, stranger = live(registry, user=2, device=3)
    registry.revoked(DeviceId(1), UserId(1), b"99", time.time())
    assert (revoked.frames, revoked.closed_with) == ([99], 4401)
    assert (sister.frames, sister.closed_with) == ([99], 0)
    assert stranger.frames == []
    assert metrics.counter("messenger_sessions_revoked_total").value == 1


def test_a_person_has_so_many_connections_and_no_more() -> None:
    registry, _ = hub()
    for device in range(1, MAX_CONNECTIONS_OF_USER + 1):
        assert registry.attach(session(device=device)[0])
    one_more, sink = session(device=MAX_CONNECTIONS_OF_USER + 1)
    assert not registry.attach(one_more)
    assert sink.closed_with == 1008


def test_a_read_marker_is_told_once_however_often_it_comes() -> None:
    registry, _ = hub()
    _, sink = live(registry)
    told = [registry.read_mark(CONV, UserId(7), seq, str(seq).encode(), time.time()) for seq in (3, 3, 2, 4)]
    assert told == [True, False, False, True]
    assert sink.frames == [3, 4]


def test_a_read_marker_is_owed_to_the_readers_other_devices_apart_from_everybody_else() -> None:
    registry, metrics = hub()
    sinks = [live(registry, user=user, device=device)[1] for user, device in ((7, 1), (7, 2), (7, 3), (8, 4))]
    registry.read_mark(CONV, UserId(7), 3, b"3", time.time(), DeviceId(1))
    registry.read_mark(CONV, UserId(7), 4, b"4", time.time() - 3, DeviceId(1))
    assert [sink.frames for sink in sinks] == [[3, 4]] * 4
    assert metrics.counter("messenger_fanout_owed_total", "read_sync").value == 4
    assert metrics.counter("messenger_fanout_owed_total", "read").value == 4
    latency = metrics.histogram("messenger_fanout_latency_seconds", "read_sync")
    assert (latency.count(), latency.above(READ_SYNC_SLO_S)) == (4, 2)


def test_a_read_marker_that_was_counted_while_it_was_overdue_is_owed_once() -> None:
    registry, metrics = hub()
    for device in (1, 2, 3):
        live(registry, user=7, device=device)
    owed = registry.owe_read_sync(CONV, UserId(7), DeviceId(1))
    live(registry, user=7, device=4)
    registry.read_mark(CONV, UserId(7), 3, b"3", time.time(), DeviceId(1), owed)
    assert owed == 2
    assert metrics.counter("messenger_fanout_owed_total", "read_sync").value == 3


def test_a_read_marker_of_a_large_conversation_is_told_to_its_readers_devices_only() -> None:
    registry, metrics = hub()
    _, reading = live(registry, user=7, device=1)
    _, other_device = live(registry, user=7, device=2)
    _, somebody = live(registry, user=1000, device=1000)
    for device in range(3, CHUNK + 2):
        live(registry, user=device + 10, device=device)
    registry.read_mark(CONV, UserId(7), 3, b"3", time.time(), DeviceId(1))
    assert (reading.frames, other_device.frames, somebody.frames) == ([3], [3], [])
    assert metrics.counter("messenger_fanout_owed_total", "read_sync").value == 1


def test_typing_is_dropped_for_who_reads_slowly() -> None:
    registry, metrics = hub()
    _, slow = live(registry, device=1)
    _, quick = live(registry, user=2, device=2)
    slow.slow = True
    registry.to_conversation("typing", CONV, b"5", time.time())
    assert (slow.frames, quick.frames) == ([], [5])
    assert metrics.counter("messenger_fanout_dropped_total", "typing").value == 1


# --- together, and in chunks --------------------------------------------------------------------------


def test_what_is_due_in_one_turn_is_one_send_for_each_connection() -> None:
    registry, metrics = hub()
    listener, sink = live(registry)
    assert registry.join(listener, ConversationId(2), 0)
    deliver_all(registry, [event(1), event(2), event(1, conv=2), event(3)])
    assert sorted(sink.sends) == [4]
    assert [seq for seq in sink.frames if seq > 1] == [2, 3]
    assert metrics.counter("messenger_fanout_delivered_total", "message").current() == 4


def crowd(registry: Hub, size: int) -> list[tuple[Session, Sink]]:
    listeners = [session(user=n, device=n) for n in range(1, size + 1)]
    for listener, _ in listeners:
        registry.attach(listener)
        assert registry.join(listener, CONV, 0)
    return listeners


def run_rollouts(fanout: Fanout, between: Callable[[], None] = lambda: None) -> None:
    """What `Fanout.run` does, with something happening between its chunks."""
    while fanout._lanes:
        lane = fanout._lanes.popleft()
        fanout._send_chunk(lane)
        if lane.busy:
            fanout._lanes.append(lane)
        between()


def test_a_large_fan_out_goes_in_chunks_and_keeps_the_order_of_what_follows() -> None:
    metrics = Metrics()
    fanout = Fanout(metrics, Faults(metrics, allowed=True))
    registry = Hub(metrics, fanout)
    listeners = crowd(registry, 3 * CHUNK)
    registry.deliver(event(1))
    assert all(sink.frames == [] for _, sink in listeners), "it has only been begun"
    fanout._send_chunk(fanout._lanes[0])
    assert sum(sink.frames == [1] for _, sink in listeners) == CHUNK
    registry.deliver(event(2))
    registry.deliver(event(3))
    assert metrics.gauge("messenger_fanout_waiting").current() == 5 * CHUNK, "2 and 3 were joined"
    run_rollouts(fanout)
    assert all(sink.frames == [1, 2, 3] for _, sink in listeners)
    assert metrics.counter("messenger_fanout_delivered_total", "message").current() == 9 * CHUNK
    assert metrics.counter("messenger_fanout_owed_total", "message").value == 9 * CHUNK


def test_who_reads_the_log_meanwhile_or_has_left_gets_nothing_twice_from_a_rollout() -> None:
    metrics = Metrics()
    fanout = Fanout(metrics, Faults(metrics, allowed=True))
    registry = Hub(metrics, fanout)
    listeners = crowd(registry, 2 * CHUNK)
    registry.deliver(event(1))
    (reader, reader_sink), (leaver, leaver_sink) = listeners[-1], listeners[-2]
    registry.subscribe(reader, CONV)
    reader_sink.frames.append(1)  # its page
    assert registry.caught_up(reader, CONV, 1)
    registry.unsubscribe(leaver, CONV)
    run_rollouts(fanout)
    registry.deliver(event(2))
    run_rollouts(fanout)
    assert reader_sink.frames == [1, 2]
    assert leaver_sink.frames == []


def test_a_rollout_goes_on_after_a_chunk_that_failed() -> None:
    metrics = Metrics()
    fanout = Fanout(metrics, Faults(metrics, allowed=True))
    registry = Hub(metrics, fanout)
    listeners = crowd(registry, 3 * CHUNK)
    registry.deliver(event(1))
    listeners[0][1].frames = None  # type: ignore[assignment] # the first send fails in an unforeseen way
    with pytest.raises(TypeError):
        fanout.run()
    listeners[0][1].frames = []
    registry.deliver(event(2))
    again = gevent.spawn(fanout.run)  # as `upkeep.forever` does
    with gevent.Timeout(5):
        while not all(sink.frames == [1, 2] for _, sink in listeners[CHUNK:]):
            gevent.sleep(0.001)
    again.kill()


@pytest.mark.parametrize("together", [False, True])
def test_who_leaves_gets_what_is_still_being_sent_to_all_and_that_they_left(together: bool) -> None:
    metrics = Metrics()
    fanout = Fanout(metrics, Faults(metrics, allowed=True))
    registry = Hub(metrics, fanout)
    listeners = crowd(registry, 2 * CHUNK)
    leaver, sink = listeners[-1]
    rows = [event(1), event(2), event(3, Kind.LEFT, user=leaver.user), event(4)]
    if together:
        deliver_all(registry, rows)
    else:
        for row in rows:
            registry.deliver(row)
    run_rollouts(fanout)
    assert sink.frames == [1, 2, 3]
    assert all(other.frames == [1, 2, 3, 4] for _, other in listeners[:-1])
    assert metrics.counter("messenger_fanout_delivered_total", "message").current() == 8 * CHUNK - 1


@given(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.integers(0, 4))
def test_rollouts_of_several_conversations_take_turns_and_keep_each_order(convs: list[int], extra: int) -> None:
    metrics = Metrics()
    fanout = Fanout(metrics, Faults(metrics, allowed=True))
    registry = Hub(metrics, fanout)
    heads = dict.fromkeys((1, 2, 3), 0)
    sinks: dict[int, list[Sink]] = {1: [], 2: [], 3: []}
    for conv in heads:
        for n in range(CHUNK + 1 + extra):
            listener, sink = session(user=conv * 10_000 + n, device=conv * 10_000 + n)
            registry.attach(listener)
            assert registry.join(listener, ConversationId(conv), 0)
            sinks[conv].append(sink)
    for conv in convs:
        heads[conv] += 1
        registry.deliver(event(heads[conv], conv=conv))
        if fanout._lanes and heads[conv] % 2:
            fanout._send_chunk(fanout._lanes[0])
            if not fanout._lanes[0].busy:
                fanout._lanes.popleft()
    run_rollouts(fanout)
    for conv, head in heads.items():
        assert all(sink.frames == list(range(1, head + 1)) for sink in sinks[conv])
