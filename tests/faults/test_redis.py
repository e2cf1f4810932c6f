"""Redis goes, drops its subscribers, or is cut off from one machine: the log of commits carries on."""

from __future__ import annotations

from collections.abc import Callable

import redis

from tests.faults.promise import RATE_PER_S, crowd, keep_promise, talked
from tests.support.fleet import Fleet
from tests.support.servers import eventually


def recovered_meanwhile(fleet: Fleet) -> Callable[[], float]:
    """How many rows the log of commits has brought, from now on."""
    before = fleet.total("messenger_fanout_recovered_total", path="message")
    return lambda: fleet.total("messenger_fanout_recovered_total", path="message") - before


def test_redis_restart(fleet: Fleet) -> None:
    """While Redis is away the log brings every row; when it is back, so is the bus."""
    recovered = recovered_meanwhile(fleet)
    with crowd(fleet) as people:
        people.talk(RATE_PER_S)
        talked(people)
        fleet.kill_redis()
        eventually(lambda: fleet.total("messenger_bus_connected"), lambda connected: connected == 0)
        talked(people)
        fleet.start_redis()
        fleet.wait_until_whole()
        talked(people)
        keep_promise(people, fleet)
    assert recovered() > 0
    assert [device.closes for device in people.devices if device.closes] == []


def test_redis_drops_subscribers_whose_buffer_overflows(fleet: Fleet) -> None:
    """Redis hangs up on every subscriber in the middle of a message; the log brings that message."""
    recovered = recovered_meanwhile(fleet)
    with redis.Redis(port=fleet.redis_port) as admin, crowd(fleet) as people:
        people.talk(RATE_PER_S)
        talked(people)
        admin.config_set("client-output-buffer-limit", "pubsub 32768 0 0")
        sender = people.devices[0]
        too_much = people.send(sender, sender.convs[0], "x" * 45_000)
        eventually(lambda: too_much in sender.unacknowledged, lambda waiting: not waiting)
        eventually(recovered)
        admin.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        fleet.wait_until_whole()
        for _ in range(3):
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            talked(people, 30)
        fleet.wait_until_whole()
        keep_promise(people, fleet)
    assert [device.closes for device in people.devices if device.closes] == []


def test_partition_between_a_machine_and_redis(fleet: Fleet) -> None:
    """The machine says `degraded` and keeps its connections: it hears the others through the log."""
    cut_off = fleet.machines[2]
    with crowd(fleet) as people:
        people.talk(RATE_PER_S)
        talked(people)
        fleet.redis_proxy.silence()
        eventually(lambda: cut_off.total("messenger_bus_connected"), lambda connected: connected == 0)
        ready = cut_off.api.call("GET", "/health/ready")
        assert (ready["status"], list(ready["problems"])) == ("degraded", ["bus"])
        recovered = recovered_meanwhile(fleet)
        talked(people)
        eventually(recovered)
        fleet.redis_proxy.heal()
        fleet.wait_until_whole()
        talked(people)
        keep_promise(people, fleet)
    assert [device.closes for device in people.devices if device.closes] == []
