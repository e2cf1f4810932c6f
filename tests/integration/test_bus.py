"""The bus in trouble: sends go on, the log brings what it loses, metrics and readiness say so, then it heals."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from tests.support.people import Listener, listening, register
from tests.support.rediscluster import running_cluster
from tests.support.repository import ROOT
from tests.support.servers import Node, eventually, running_node, running_redis
from tests.support.slowproxy import NEVER_S, slow_proxy


@dataclass
class Pair:
    """Ann on node one, Bob on node two, in one conversation for each shard of the bus."""

    one: Node
    two: Node
    at_ann: Listener
    at_bob: Listener
    convs: dict[int, int]
    said: int = 0

    def say(self, shard: int = 0) -> None:
        """Ann says something new, Bob hears it; all he heard is dense and in order."""
        conv = self.convs[shard]
        self.said += 1
        self.at_ann.send(conv, f"word {self.said}")
        self.at_bob.next("message", conv=conv, body=f"word {self.said}")
        seqs = self.at_bob.seqs(conv)
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))

    def say_over_the_bus(self, shard: int = 0) -> None:
        """The same, and the bus carried it."""
        before = self.relayed()
        self.say(shard)
        eventually(lambda: self.relayed() > before)

    def say_over_the_log(self, shard: int = 0) -> None:
        """The same, and only the log can have carried it."""
        before = self.two.metric("messenger_fanout_recovered_total", path="message")
        relayed = self.relayed()
        self.say(shard)
        assert self.two.metric("messenger_fanout_recovered_total", path="message") == before + 1
        assert self.relayed() == relayed

    def relayed(self) -> float:
        """Messages that node two heard over the bus."""
        return self.two.metric("messenger_fanout_stage_seconds_count", path="message", stage="relay")

    def dropped(self) -> float:
        """Frames that node one could not publish."""
        return self.one.metric("messenger_bus_dropped_total")

    def healthy(self) -> bool:
        """Both nodes hear and tell, and say so."""
        return all(problems(n) == {} and n.metric("messenger_bus_connected") == 1 for n in (self.one, self.two))

    def degraded(self) -> bool:
        """Both nodes are without a part of their bus, and say so; they serve on."""
        return all(
            list(problems(n)) == ["bus"] and n.metric("messenger_bus_connected") == 0 for n in (self.one, self.two)
        )


def limited(ask: Callable[[str], object], url: str) -> str:
    """`url` for a user who may do no more than docs/bus.md says."""
    rights = re.search(r"ACL user needs `(.*)`", (ROOT / "docs" / "bus.md").read_text())
    assert rights
    ask(f"ACL SETUSER bus on >secret resetchannels {rights[1]}")
    return url.replace("://", "://bus:secret@")


def problems(node: Node) -> dict[str, str]:
    """What the readiness page names."""
    ready = node.api.call("GET", "/health/ready")
    assert ready["status"] == ("degraded" if ready["problems"] else "ready")
    found: dict[str, str] = ready["problems"]
    return found


@contextmanager
def pair(database_url: str, folder: Path, redis_url: str, shards: int = 1) -> Iterator[Pair]:
    """Two nodes on this Redis, and the two people; does not wait for the bus."""
    settings = {"REDIS_URL": redis_url, "BUS_SHARDS": str(shards)}
    with (
        running_node(database_url, folder / "one", **settings) as one,
        running_node(database_url, folder / "two", **settings) as two,
    ):
        ann, bob = register(one.api), register(two.api)
        with listening(one.api, ann) as at_ann, listening(two.api, bob) as at_bob:
            convs = [one.api.create_conversation(ann, [bob.name]) for _ in range(shards)]
            for conv in convs:
                at_bob.next("member", conv=conv, user=bob.user)
            yield Pair(one, two, at_ann, at_bob, {conv % shards: conv for conv in convs})


def test_a_redis_that_cuts_nodes_off_or_forgets_everything_loses_nothing(database_url: str, tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as url,
        redis.Redis.from_url(url) as admin,
        pair(database_url, tmp_path, limited(admin.execute_command, url)) as people,
    ):
        eventually(people.healthy)
        people.say_over_the_bus()

        for kind in ("pubsub", "normal"):
            admin.client_kill_filter(_type=kind, skipme=True)
            people.say()
            eventually(people.healthy)
            people.say_over_the_bus()

        admin.flushall()
        people.say_over_the_bus()

        channel = "messenger:bus:{0}"
        admin.publish(channel, b"\xc1 this is not MessagePack")
        eventually(lambda: people.two.metric("messenger_bus_unreadable_total", reason="batch") == 1)

        admin.config_set("client-output-buffer-limit", "pubsub 262144 0 0")
        people.two.process.send_signal(signal.SIGSTOP)
        try:
            eventually(lambda: admin.publish(channel, b"\xc1" * 65536) == 1)  # one node is left
        finally:
            people.two.process.send_signal(signal.SIGCONT)
        people.say()
        eventually(people.healthy)
        people.say_over_the_bus()


def test_a_redis_that_is_silent_or_slow_delays_messages_by_a_poll_at_most(database_url: str, tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as url,
        slow_proxy(urlsplit(url).port or 0, NEVER_S) as proxy,
        pair(database_url, tmp_path, f"redis://127.0.0.1:{proxy.port}/0") as people,
    ):
        eventually(people.degraded)
        people.say_over_the_log()

        proxy.delay_s = 0
        eventually(people.healthy)
        people.say_over_the_bus()

        for delay_s in (1.5, NEVER_S):
            dropped = people.dropped()
            proxy.delay_s = delay_s
            eventually(people.degraded)
            for _ in range(3):
                people.say()
            eventually(lambda dropped=dropped: people.dropped() > dropped)
            proxy.delay_s = 0
            eventually(people.healthy)
            people.say_over_the_bus()


def test_a_cluster_loses_a_master_and_moves_a_slot(database_url: str, tmp_path: Path) -> None:
    shards = 4
    channels = [f"messenger:bus:{{{n}}}" for n in range(shards)]
    with (
        running_cluster(tmp_path) as cluster,
        pair(database_url, tmp_path, limited(cluster.ask_all, cluster.url), shards) as people,
    ):
        first, second, third = cluster.masters
        shard_of = {cluster.owner(channel): n for n, channel in enumerate(channels)}
        assert set(shard_of) == {first, second, third}
        eventually(people.healthy)
        for n in range(shards):
            people.say_over_the_bus(n)

        # A master without a replica: its shards go through the log, the others do not notice.
        second.kill()
        eventually(people.degraded)
        assert "of 4 go through the log only" in problems(people.two)["bus"]
        people.say_over_the_log(shard_of[second])
        people.say_over_the_bus(shard_of[first])
        people.say_over_the_bus(shard_of[third])
        second.start()
        limited(second.ask, cluster.url)
        eventually(people.healthy)
        people.say_over_the_bus(shard_of[second])

        # A master that stands still, as under a debugger: the others' shards do not wait for it.
        third.signal(signal.SIGSTOP)
        try:
            for n in (first, second):
                people.say_over_the_bus(shard_of[n])
            eventually(people.degraded)
            people.say_over_the_log(shard_of[third])
            people.say_over_the_bus(shard_of[first])
        finally:
            third.signal(signal.SIGCONT)
        eventually(people.healthy)

        # A slot that moves while people talk.
        moving = shard_of[third]
        people.say_over_the_bus(moving)
        cluster.move(channels[moving], second)
        for _ in range(20):
            people.say(moving)
        eventually(people.healthy)
        people.say_over_the_bus(moving)
        for member, heard in ((third, 0), (second, 2)):
            assert member.ask("PUBSUB SHARDNUMSUB", channels[moving]) == [(channels[moving], heard)]

        # A master with a replica: the replica takes over.
        failing = shard_of[first]
        first.kill()
        eventually(people.degraded)
        people.say(failing)
        # As an operator does it: an election of this small cluster may fail and be held again much later.
        cluster.replica.ask("CLUSTER FAILOVER", "TAKEOVER")
        eventually(people.healthy)
        people.say_over_the_bus(failing)
        assert cluster.owner(channels[failing]) is cluster.replica


TORN = """
import gevent.monkey; gevent.monkey.patch_all()
import sys, time, gevent
from app.domain.log import Kind
from app.metrics import Metrics
from app.realtime.bus.endpoint import Line
from app.realtime.bus.shard import Shard
from app.realtime.bus.wire import Audience, BusFrame, Reader

class Torn:
    sharded, dials = True, 0
    def dial(self, channel):
        self.dials += 1
        return Line(sys.argv[1 if self.dials == 1 else 2]).connect()
    def failed(self, channel, error):
        pass

def until(condition):
    while not condition():
        gevent.sleep(0.01)

metrics, endpoint = Metrics(), Torn()
shard = Shard(0, endpoint, "here", Reader("here", lambda to, key: True, metrics), print, metrics)
gevent.spawn(shard.run_subscriber)
until(lambda: not shard.deaf)
gevent.spawn(shard.run_publisher)
until(lambda: not shard.mute)
shard.publish([BusFrame("message", Audience.CONVERSATION, 7, 1, Kind.MESSAGE, 3, time.time(), b"")])
until(lambda: endpoint.dials == 3 and not shard.deaf)
print("subscribed again")
"""


def test_a_subscription_on_the_wrong_side_of_a_torn_cluster_is_made_again(tmp_path: Path) -> None:
    with running_redis(tmp_path) as old, running_redis(tmp_path) as new:
        done = subprocess.run(
            [sys.executable, "-c", TORN, old, new], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
        )
    assert done.stdout.splitlines()[-1] == "subscribed again"
