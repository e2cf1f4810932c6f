"""A history of many devices that come and go on two nodes, judged against the log: the promise, tried at random.

Every acknowledged message reaches every member's device, in order and without a hole; within one
connection no row comes twice; who is let in or leaves sees exactly the rows that are theirs.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from monitoring.client.api import Account, ApiError
from monitoring.client.session import Session
from monitoring.client.socket import ConnectionFailed, Socket
from tests.support.people import register
from tests.support.servers import Node, eventually, running_node, running_redis
from tests.support.sql import rows

TALK_S = 12

Log = dict[int, dict[int, str | None]]
"""Of each conversation the client's id of each message; None where somebody joined or left."""


@dataclass
class Device:
    """One device: what it has applied by conversation, over all its connections, and what was acknowledged to it."""

    account: Account
    nodes: list[Node]
    chance: random.Random
    applied: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    cursors: dict[int, int] = field(default_factory=dict)
    socket: Socket | None = None

    def connect(self) -> None:
        """To a node chosen by chance, with the cursors that were applied."""
        self.connections += 1
        in_this_connection: dict[int, int] = {}

        def heard(event: dict[str, Any]) -> None:
            if event["type"] == "ack":
                self.acknowledged[event["id"]] = (event["conv"], event["seq"])
            elif event["type"] in ("message", "member"):
                conv, seq = event["conv"], event["seq"]
                before = in_this_connection.get(conv)
                came_back = (
                    event["type"] == "member" and event["event"] == "joined" and event["user"] == self.account.user
                )
                if before is not None and (seq <= before if came_back else seq != before + 1):
                    self.faults.append(f"connection {self.connections}: {conv}/{seq} after {before}")
                in_this_connection[conv] = seq
                if seq == (self.applied[conv][-1] + 1 if self.applied[conv] else seq):
                    self.applied[conv].append(seq)

        api = self.chance.choice(self.nodes).api
        self.cursors = {conv: seqs[-1] for conv, seqs in self.applied.items() if seqs}
        self.socket = Socket(
            api.ws_url, self.account.access_token, lambda _: None, Session(self.cursors), on_frame=heard
        )

    def disconnect(self) -> None:
        """Sometimes with a goodbye, sometimes without."""
        assert self.socket is not None
        if self.chance.random() < 0.5:
            self.socket.close()
        else:
            self.socket._ws.sock.close()
            self.socket.closed.wait(5)


def live(device: Device, convs: list[int], until: float) -> None:
    """Connect, say things, vanish, come back, until the time is over."""
    number = 0
    while time.monotonic() < until:
        try:
            device.connect()
            assert device.socket is not None
            for _ in range(device.chance.randrange(40)):
                number += 1
                device.socket.send_message(device.chance.choice(convs), "x", f"{device.account.device}-{number}")
                time.sleep(device.chance.random() * 0.03)
            device.disconnect()
        except (OSError, ConnectionFailed):
            continue


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "log only"])
def test_devices_that_come_and_go_miss_nothing(database_url: str, tmp_path: Path, with_redis: bool) -> None:
    with running_redis(tmp_path) as redis_url:
        bus = {"REDIS_URL": redis_url} if with_redis else {}
        with (
            running_node(database_url, tmp_path / "one", **bus) as one,
            running_node(database_url, tmp_path / "two", **bus) as two,
        ):
            devices = [Device(register(one.api), [one, two], random.Random(n)) for n in range(6)]
            names = [device.account.name for device in devices]
            convs = [one.api.create_conversation(devices[0].account, names[1:]) for _ in range(2)]
            coming = one.api.create_conversation(devices[0].account, [names[1]])
            until = time.monotonic() + TALK_S
            threads = [
                threading.Thread(target=live, args=(d, [*convs, coming][: 2 + (n < 2)], until))
                for n, d in enumerate(devices)
            ]
            for thread in threads:
                thread.start()
            guest = devices[5].account
            while time.monotonic() < until:  # somebody is let in and leaves, again and again
                try:
                    one.api.call(
                        "POST",
                        f"/api/conversations/{coming}/members",
                        {"members": [guest.name]},
                        devices[0].account.access_token,
                    )
                    time.sleep(0.3)
                    two.api.call("DELETE", f"/api/conversations/{coming}/members/me", token=guest.access_token)
                except ApiError as error:
                    raise AssertionError(error) from error
                time.sleep(0.2)
            for thread in threads:
                thread.join()
            for device in devices:
                device.connect()
            heard = [(d, c) for d in devices[:5] for c in [*convs, *([coming] if d in devices[:2] else [])]]

            def behind(log: Log) -> list[tuple[int, int, int]]:
                """Who has not applied what: conversation, its head, how far."""
                return [(c, max(log[c]), d.applied[c][-1]) for d, c in heard if d.applied[c][-1:] != [max(log[c])]]

            # What was sent just before the last connections ended may be committed only now.
            eventually(lambda: behind(read_log(database_url)), lambda late: not late)
            log = read_log(database_url)
            for device, conv in heard:
                assert device.applied[conv] == list(range(1, max(log[conv]) + 1))
            judge(devices, log)
            theirs = memberships(database_url, coming, guest.user)
            assert all(any(a <= seq <= b for a, b in theirs) for seq in devices[5].applied[coming])


def judge(devices: list[Device], log: Log) -> None:
    """Nothing twice or out of order within a connection, and each ack is a row of the log, one for each id."""
    for device in devices:
        assert device.faults == []
        for message_id, (conv, seq) in device.acknowledged.items():
            assert log[conv][seq] == message_id
    assert sum(len(device.acknowledged) for device in devices) > 100
    assert sum(device.connections for device in devices) > 20
    ids = [message_id for rows in log.values() for message_id in rows.values() if message_id]
    assert len(ids) == len(set(ids))


def read_log(url: str) -> dict[int, dict[int, str | None]]:
    """The client id of every row: conversation → seq → id."""
    log: dict[int, dict[int, str | None]] = defaultdict(dict)
    for conv, seq, client_id in rows(url, "SELECT conversation_id, seq, client_id FROM messages"):
        log[conv][seq] = client_id
    return log


def memberships(url: str, conv: int, user: int) -> list[tuple[int, int]]:
    """From and to seq of each stay."""
    query = (
        f"SELECT from_seq, coalesce(to_seq, 1 << 30) FROM members WHERE conversation_id = {conv} AND user_id = {user}"
    )
    return [(first, last) for first, last in rows(url, query)]
