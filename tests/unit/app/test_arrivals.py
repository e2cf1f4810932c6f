"""Signing in takes a while; what is told to the node meanwhile must not be lost on those who sign in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import gevent
import pytest

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Entry, Kind, Membership
from app.domain.people import Identity
from app.metrics import Metrics
from app.protocol import wire
from app.realtime.arrivals import Arrival, Arrivals
from app.realtime.connection import Connection
from app.realtime.fanout import Fanout
from app.realtime.faults import Faults
from app.realtime.hub import Hub
from app.realtime.joiner import Joiner
from app.realtime.outlet import sequenced
from app.services.messages import Messages
from app.store.devices import Admission, Newcomer
from app.store.messages import Want

ADA, BOB = UserId(1), UserId(2)
PHONE = DeviceId(1)
CONV = ConversationId(1)


class Sink:
    """Stands where a connection would."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed_with = 0
        self.session: Any = None
        self.queued_bytes = 0

    @property
    def open(self) -> bool:
        return self.closed_with == 0

    def send(self, frame: bytes, _token: object = None) -> bool:
        if self.open:
            self.sent += frame
        return self.open

    def close(self, code: int, _reason: str = "") -> None:
        self.closed_with = self.closed_with or code


class Log:
    """Stands where the database would: a snapshot is taken, `meanwhile` happens, then the answer arrives."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.members: list[Membership] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked: list[DeviceId] = []

    def append(self, user: UserId = BOB, kind: Kind = Kind.MESSAGE) -> Entry:
        seq = len(self.rows) + 1
        self.rows.append(Entry(CONV, seq, kind, user, 0.0, DeviceId(9), str(seq), "body"))
        return self.rows[-1]

    def memberships(self, _user: UserId, _device: DeviceId) -> list[Membership]:
        return [Membership(m.conv, m.from_seq, m.to_seq, m.cursor, len(self.rows)) for m in self.members]

    def sign_in(self, newcomers: Sequence[Newcomer]) -> dict[DeviceId, Admission]:
        self.asked += [newcomer.device for newcomer in newcomers]
        seen = {n.device: Admission("ok", 10, self.memberships(n.user, n.device)) for n in newcomers}
        self.meanwhile()
        return seen

    def pages(self, wants: Sequence[Want], limit: int) -> list[Entry]:
        gevent.sleep(0)
        return [e for want in wants for e in self.rows if want.after < e.seq <= (want.upto or e.seq)][:limit]


class House:
    """A node's reception, and who comes."""

    def __init__(self) -> None:
        metrics = Metrics()
        self.log = Log()
        self.hub = Hub(metrics, Fanout(metrics, Faults(metrics, allowed=True)))
        messages = cast(Messages, self.log)
        joiner = Joiner(messages, self.hub, lambda _session, _greeting: True)
        self.arrivals = Arrivals(messages, self.hub, joiner, metrics, 25, lambda _session: None)
        self.greenlets = [gevent.spawn(joiner.run), gevent.spawn(self.arrivals.run)]

    def arrives(self, device: DeviceId = PHONE, user: UserId = ADA, cursor: int | None = 0) -> Sink:
        sink = Sink()
        identity = Identity(user, device, 1e12)
        self.arrivals.put(Arrival(cast(Connection, sink), identity, {} if cursor is None else {CONV: cursor}, None))
        return sink

    def tell(self, entry: Entry) -> None:
        """What a commit, the bus or a poll does."""
        self.hub.deliver(sequenced(entry))

    def was_signed_in(self, sink: Sink) -> None:
        eventually(lambda: wire.frame(wire.Synced("")) in sink.sent or not sink.open)


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    gevent.killall(made.greenlets)


def eventually(true: Callable[[], bool]) -> None:
    """Let the greenlets run until `true`."""
    with gevent.Timeout(5):
        while not true():
            gevent.sleep(0.001)


def has(sink: Sink, entry: Entry) -> bool:
    return wire.entry_frame(entry) in sink.sent


def test_a_row_told_only_to_the_connection_that_is_displaced_is_read_by_the_new_one(house: House) -> None:
    house.log.members = [Membership(CONV, 1, None, 0, 0)]
    house.log.append()
    before = house.arrives(cursor=1)
    house.was_signed_in(before)
    house.log.meanwhile = lambda: house.tell(house.log.append())
    after = house.arrives(cursor=1)
    house.was_signed_in(after)
    assert before.closed_with == 4409
    assert has(before, house.log.rows[1])
    assert has(after, house.log.rows[1])


def test_who_was_let_into_a_conversation_while_signing_in_hears_it(house: House) -> None:
    def meanwhile() -> None:
        house.log.members = [Membership(CONV, 1, None, 0, 0)]
        house.tell(house.log.append(ADA, Kind.JOINED))

    house.log.meanwhile = meanwhile
    sink = house.arrives()
    house.was_signed_in(sink)
    house.tell(house.log.append())
    eventually(lambda: all(has(sink, entry) for entry in house.log.rows))


def test_a_device_that_is_revoked_while_it_signs_in_is_closed(house: House) -> None:
    house.log.meanwhile = lambda: house.hub.revoked(PHONE, ADA, b"", 0.0)
    sink = house.arrives()
    house.was_signed_in(sink)
    assert sink.closed_with == 4401
    assert wire.frame(wire.Device(PHONE, "revoked")) in sink.sent


def test_a_stored_cursor_ahead_of_the_log_does_not_hide_what_comes(house: House) -> None:
    house.log.members = [Membership(CONV, 1, None, 100, 0)]
    house.log.append()
    house.log.meanwhile = lambda: house.tell(house.log.append())
    sink = house.arrives(cursor=None)
    house.was_signed_in(sink)
    house.tell(house.log.append())
    assert has(sink, house.log.rows[1])
    assert has(sink, house.log.rows[2])


def test_who_hung_up_while_waiting_takes_no_fencing_number(house: House) -> None:
    gone, here = house.arrives(), house.arrives(DeviceId(2))
    gone.close(1006)
    house.was_signed_in(here)
    assert house.log.asked == [DeviceId(2)]


def test_a_device_that_connects_elsewhere_while_it_signs_in_is_displaced(house: House) -> None:
    house.log.meanwhile = lambda: house.hub.connected_elsewhere(PHONE, 11)
    sink = house.arrives()
    house.was_signed_in(sink)
    assert sink.closed_with == 4409


def test_its_own_fencing_number_displaces_nobody(house: House) -> None:
    house.log.meanwhile = lambda: house.hub.connected_elsewhere(PHONE, 10)
    sink = house.arrives()
    house.was_signed_in(sink)
    assert sink.open
