"""Clients that read too slowly, come back all at once, or vanish without a word."""

from __future__ import annotations

import time

from tests.faults.promise import RATE_PER_S, crowd, keep_promise, talked
from tests.support.fleet import WORKERS, Fleet, Machine
from tests.support.proxy import Proxy
from tests.support.servers import eventually

BIG = "x" * 45_000
MESSAGES = 40
"""Of BIG: more than a connection's queue and the kernel's buffers hold."""


def in_time_and_all(fleet: Fleet) -> tuple[float, float]:
    """Messages' deliveries within 250 ms, and all, so far."""
    name = "messenger_fanout_latency_seconds"
    return fleet.total(f"{name}_bucket", path="message", le="0.25"), fleet.total(f"{name}_count", path="message")


def test_slow_consumer(fleet: Fleet) -> None:
    """It is closed with 4008 and resumes later; the others get everything meanwhile, as promptly as before."""
    with crowd(fleet, 9, size=9, each=1) as people:
        slow, *others = people.devices
        conv = slow.convs[0]

        def say_much() -> float:
            """The share of deliveries that were late while MESSAGES were said and reached the others."""
            good, owed = in_time_and_all(fleet)
            for n in range(MESSAGES):
                people.send(others[n % len(others)], conv, BIG)
                eventually(lambda: sum(len(d.unacknowledged) for d in others) < 4)
            eventually(lambda: len({d.cursors[conv] for d in others} | {9 + people.acknowledged()}) == 1)
            now_good, now_owed = in_time_and_all(fleet)
            return 1 - (now_good - good) / (now_owed - owed)

        late_before = say_much()
        eventually(lambda: slow.cursors[conv] == others[0].cursors[conv])
        closed = fleet.total("messenger_ws_closes_total", code="4008")
        people.deafen(slow, True)
        late_meanwhile = say_much()
        assert slow.cursors[conv] < others[0].cursors[conv]
        # Had they waited for the slow one, all would be late.
        assert late_meanwhile - late_before < 0.5
        eventually(lambda: fleet.total("messenger_ws_closes_total", code="4008") == closed + 1)
        people.deafen(slow, False)
        keep_promise(people, fleet, at_least=2 * MESSAGES)
        assert slow.connections == 2
        assert all(device.connections == 1 for device in others)


QUERIES_PER_CONNECT = 1.5
"""Statements for each device that comes back: one to sign in, shared by those who come together, and pages for who
lacks any."""
OTHER_QUERIES_PER_S = 6.0
"""What an idle node asks of the database: the log of commits, five times a second, and little else."""


def test_reconnect_storm(fleet: Fleet) -> None:
    """A machine with many connections dies at once; the others take them in, with a bounded number of queries."""
    dying, *rest = fleet.machines
    with crowd(fleet, 360, size=2, each=1, ports=fleet.ports) as people:
        theirs = [device for device in people.devices if device.port == dying.port]
        others = [device for device in people.devices if device.port != dying.port]
        people.talk(RATE_PER_S)
        talked(people, 50)
        people.talk(0)
        eventually(lambda: not any(device.unacknowledged for device in people.devices))
        people.move(people.devices, [at.port for at in rest])
        began, before = time.monotonic(), what_nodes_did(rest)
        dying.kill()
        eventually(lambda: all(device.closes for device in theirs), within_s=40)
        eventually(people.live, lambda live: live == len(people.devices), within_s=40)
        accepted, queries = (now - then for now, then in zip(what_nodes_did(rest), before, strict=True))
        idle = OTHER_QUERIES_PER_S * WORKERS * len(rest) * (time.monotonic() - began)
        assert accepted == len(theirs) > 60
        assert queries < QUERIES_PER_CONNECT * accepted + idle
        assert all(device.closes == [] for device in others)
        fleet.start(0)
        fleet.wait_until_whole()
        people.talk(RATE_PER_S)
        talked(people, 50)
        keep_promise(people, fleet, at_least=100)


def what_nodes_did(machines: list[Machine]) -> tuple[float, float]:
    """(connections signed in, database transactions) so far."""
    return (
        sum(at.total("messenger_ws_connects_total", result="accepted") for at in machines),
        sum(at.total("messenger_database_query_seconds_count") for at in machines),
    )


def test_half_open_connection(fleet: Fleet) -> None:
    """A network that swallows everything: the node cuts the connection within two beats, the client goes elsewhere."""
    near = fleet.machines[0]
    swallowing = Proxy(("127.0.0.1", near.port))
    try:
        with crowd(fleet, 12, size=6, each=2) as people:
            some = people.devices[:4]
            people.move(some, [swallowing.port])
            people.hang_up(some)
            eventually(lambda: people.live() == 12 and all(device.port == swallowing.port for device in some))
            people.talk(RATE_PER_S)
            talked(people)
            cut = near.total("messenger_ws_closes_total", code="1006")
            people.move(some, fleet.ports[1:])
            swallowing.silence()
            eventually(lambda: near.total("messenger_ws_closes_total", code="1006") == cut + len(some))
            eventually(lambda: all(device.live and device.port != swallowing.port for device in some))
            talked(people)
            keep_promise(people, fleet)
    finally:
        swallowing.close()
