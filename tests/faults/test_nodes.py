"""Nodes that die, freeze or go away, and clocks that are wrong."""

from __future__ import annotations

import itertools
import signal
import subprocess

from tests.faults.promise import RATE_PER_S, crowd, keep_promise, talked
from tests.support.binaries import require
from tests.support.fleet import Fleet
from tests.support.servers import eventually
from tests.support.sql import rows


def test_kill_9_of_a_node_in_mid_fan_out(fleet: Fleet) -> None:
    """Survivors notice nothing, clients resume elsewhere or with the next process, nothing acknowledged is lost."""
    with crowd(fleet, 30, size=30, each=1) as people:
        people.talk(RATE_PER_S)
        victim_machine = fleet.machines[0]
        for number in range(2):
            talked(people)
            before = [len(device.closes) for device in people.devices]
            theirs = int(victim_machine.metric(number, "ws_connections_active"))
            victim = victim_machine.worker(number)
            victim.kill()  # each message goes to all 30, a hundred times a second: some fan-out is under way
            victim.wait()
            talked(people)
            closed = [d for d, n in zip(people.devices, before, strict=True) if len(d.closes) > n]
            assert len(closed) == theirs
            assert all(device.closes[-1] == 1006 for device in closed)
            eventually(lambda n=number, pid=victim.pid: victim_machine.worker(n).pid != pid)
            fleet.wait_until_whole()
        keep_promise(people, fleet)


def test_rolling_replacement_under_talk(fleet: Fleet) -> None:
    """Workers drain one by one; their clients are told when to come back, and every send they took is answered."""
    at = fleet.machines[1]
    with crowd(fleet) as people:
        people.talk(RATE_PER_S)
        talked(people)
        theirs = [device for device in people.devices if device.port == at.port]
        before = {device.device: len(device.closes) for device in theirs}
        at.process.send_signal(signal.SIGHUP)
        eventually(lambda: "workers replaced" in at.log.read_text(), within_s=60)
        talked(people)
        keep_promise(people, fleet)
        closes = [device.closes[before[device.device] :] for device in theirs]
        assert closes == [[1012] * max(1, len(codes)) for codes in closes]
        assert [len(device.reconnect_delays_ms) for device in theirs] == [len(codes) for codes in closes]


def test_clocks_ten_minutes_wrong(fleet: Fleet) -> None:
    """One machine ten minutes ahead, one behind: order is by seq alone, and every node takes every other's tokens."""
    fake = fake_clock()
    fleet.restart({1: fake | {"FAKETIME": "+600"}, 2: fake | {"FAKETIME": "-600"}})
    try:
        with crowd(fleet) as people:
            people.talk(RATE_PER_S)
            talked(people)
            conv = people.devices[0].convs[0]
            query = f"SELECT ts FROM messages WHERE conversation_id = {conv} AND kind = 0 ORDER BY seq"
            times = [
                float(ts)
                for (ts,) in rows(
                    fleet.database_url,
                    query,
                )
            ]
            assert max(times) - min(times) > 1_000 and times != sorted(times)
            for device, port in zip(people.devices, itertools.cycle(fleet.ports)):
                people.move([device], [port])
            people.hang_up(people.devices)
            talked(people)
            keep_promise(people, fleet)
            assert not any(code in device.closes for device in people.devices for code in (1008, 4402))
    finally:
        fleet.restart({1: {}, 2: {}})


def fake_clock() -> dict[str, str]:
    """The environment in which FAKETIME shifts the wall clock but not the monotonic one, as on a real machine."""
    wrapped = subprocess.run([require("faketime"), "-f", "+0", "env"], check=True, capture_output=True, text=True)
    environ = dict(line.split("=", 1) for line in wrapped.stdout.splitlines() if "=" in line)
    return {"LD_PRELOAD": environ["LD_PRELOAD"], "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
