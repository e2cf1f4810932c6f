"""Several nodes on one database: with Redis between them, without, and going away in good order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.people import Listener, listening, register
from tests.support.repository import ROOT
from tests.support.servers import ADMIN_TOKEN, eventually, free_port, node_environ, running_node, running_redis


def test_a_message_and_a_broadcast_cross_nodes_over_redis(database_url: str, tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as redis_url,
        running_node(database_url, tmp_path / "one", REDIS_URL=redis_url) as one,
        running_node(database_url, tmp_path / "two", REDIS_URL=redis_url) as two,
    ):
        for node in (one, two):
            eventually(lambda n=node: n.metric("messenger_bus_connected") == 1)
        ann, bob = register(one.api), register(two.api)
        conv = one.api.create_conversation(ann, [bob.name])
        with listening(one.api, ann) as at_ann, listening(two.api, bob) as at_bob:
            for n in range(20):
                at_ann.send(conv, str(n))
                at_bob.send(conv, f"re {n}")
            eventually(lambda: len(at_bob.bodies(conv)) == 40 and at_ann.bodies(conv) == at_bob.bodies(conv))
            one.api.call("POST", "/test/broadcast", {"body": "everywhere"}, ADMIN_TOKEN)
            assert at_bob.next("broadcast") == at_ann.next("broadcast")
            ack = at_ann.send(conv, "read me")
            at_bob.next("message", seq=ack["seq"])
            at_bob.socket.command({"type": "read", "conv": conv, "seq": ack["seq"]})
            at_ann.next("read", user=bob.user, seq=ack["seq"])


def test_without_a_bus_the_log_of_commits_brings_everything(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "one") as one, running_node(database_url, tmp_path / "two") as two:
        ann, bob = register(one.api), register(two.api)
        with listening(one.api, ann) as at_ann, listening(two.api, bob) as at_bob:
            conv = one.api.create_conversation(ann, [bob.name])  # bob learns of it through the log, too
            for n in range(20):
                at_ann.send(conv, str(n))
            eventually(lambda: at_bob.bodies(conv) == [str(n) for n in range(20)])
        assert two.metric("messenger_fanout_recovered_total", path="message") > 0


def test_redis_killed_and_back_loses_nothing(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        running_node(database_url, tmp_path / "one", REDIS_URL=url) as one,
        running_node(database_url, tmp_path / "two", REDIS_URL=url) as two,
    ):
        ann, bob = register(one.api), register(two.api)
        conv = one.api.create_conversation(ann, [bob.name])
        with listening(one.api, ann) as at_ann, listening(two.api, bob) as at_bob:
            for turn in range(2):
                with running_redis(tmp_path, port):
                    eventually(lambda: [n.metric("messenger_bus_connected") for n in (one, two)] == [1, 1])
                    at_ann.send(conv, f"over redis {turn}")
                    at_bob.next("message", body=f"over redis {turn}")
                    # A publisher learns of a Redis that went and came back with its next ping, up to a second later.
                    eventually(lambda: two.api.call("GET", "/health/ready")["status"] == "ready")
                eventually(lambda: two.metric("messenger_bus_connected") == 0)
                at_ann.send(conv, f"over the log {turn}")
                at_bob.next("message", body=f"over the log {turn}")
                ready = two.api.call("GET", "/health/ready")
                assert (ready["status"], list(ready["problems"])) == ("degraded", ["bus"])
            wanted = ["over redis 0", "over the log 0", "over redis 1", "over the log 1"]
            assert at_ann.bodies(conv) == at_bob.bodies(conv) == wanted


def test_a_redis_that_stands_still_is_noticed(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    with (
        running_redis(tmp_path, port) as url,
        running_node(database_url, tmp_path / "log", REDIS_URL=url) as node,
    ):
        eventually(lambda: node.metric("messenger_bus_connected") == 1)
        (redis,) = [c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port]
        os.kill(redis, signal.SIGSTOP)
        try:
            eventually(lambda: node.metric("messenger_bus_connected") == 0)
        finally:
            os.kill(redis, signal.SIGCONT)
        eventually(lambda: node.metric("messenger_bus_connected") == 1)


def test_a_node_that_goes_away_says_when_to_come_back(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        listener = Listener(node.api, register(node.api))
        assert node.stop() == 0
        eventually(listener.socket.closed.is_set)
        assert listener.next("drain")["retry_after_ms"] >= 0
        assert listener.socket.close_code == 1012


def test_fault_switches_do_not_exist_in_production(database_url: str, tmp_path: Path) -> None:
    production = {
        "APP_ENV": "production",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CORS_ORIGIN": "https://chat.example.com",
    }
    with running_node(database_url, tmp_path / "log", **production) as node, pytest.raises(Exception, match="404"):
        node.api.call("POST", "/test/faults", {"fanout_stall": True}, ADMIN_TOKEN)


def test_a_taken_port_is_named(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        environ = node_environ(database_url, PORT=str(node.port), METRICS_PORT="1")
        command = [sys.executable, "-m", "app", "serve"]
        done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 2
        assert f"error: PORT: port {node.port} cannot be used" in done.stderr


def test_who_comes_back_and_connects_to_a_node_that_hears_late_gets_no_row_twice(
    database_url: str, tmp_path: Path
) -> None:
    """Without a bus node two hears of leaving and coming back up to a poll later than the new connection reads it."""
    with running_node(database_url, tmp_path / "one") as one, running_node(database_url, tmp_path / "two") as two:
        ann, bob = register(one.api), register(one.api)
        conv = one.api.create_conversation(ann, [bob.name])
        members = f"/api/conversations/{conv}/members"
        with listening(two.api, ann) as at_ann:
            for turn in range(10):
                one.api.call("DELETE", f"{members}/me", token=bob.access_token)
                one.api.call("POST", members, {"members": [bob.name]}, ann.access_token)
                with listening(two.api, bob) as at_bob:
                    at_ann.send(conv, f"turn {turn}")
                    at_bob.next("message", body=f"turn {turn}")
                    seqs = at_bob.seqs(conv)
                    assert len(seqs) == len(set(seqs))
                    assert seqs == sorted(seqs)
