"""A real Redis Cluster on loopback: masters, and replicas for some of them, that can be killed and started again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.support.binaries import require
from tests.support.servers import eventually, free_port

NODE_TIMEOUT_MS = 2000


class ClusterMember:
    """One redis-server of the cluster. It keeps its port, its id and its slots over a restart."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._bus_port = free_port()
        self.port = free_port()
        self.ask = redis.Redis(port=self.port, socket_timeout=5, decode_responses=True).execute_command
        self.start()
        self.id = str(self.ask("CLUSTER MYID"))

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "port": self.port, "cluster-port": self._bus_port, "bind": "127.0.0.1", "dir": self._folder, "save": "",
            "cluster-enabled": "yes", "cluster-node-timeout": NODE_TIMEOUT_MS,
        }  # fmt: skip
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        self._process = subprocess.Popen([str(require("redis-server")), *arguments], stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def kill(self) -> None:
        """kill -9, as a machine dies."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def meet(self, other: ClusterMember) -> None:
        """Make the two know each other."""
        self.ask("CLUSTER MEET", "127.0.0.1", other.port, other._bus_port)

    def knows(self) -> int:
        """How many members it knows, itself included."""
        return int(self._info()["cluster_known_nodes"])

    def healthy(self) -> bool:
        """Whether it thinks that every slot is served."""
        return self._info()["cluster_state"] == "ok"

    def _info(self) -> dict[str, str]:
        info: dict[str, str] = self.ask("CLUSTER INFO")
        return info

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False


class Cluster:
    """Masters with equal shares of the slots, and a replica of the first."""

    def __init__(self, members: Sequence[ClusterMember]) -> None:
        self._members = members
        *self.masters, self.replica = members

    @property
    def url(self) -> str:
        """What REDIS_URL is for it: two addresses, of which one may be dead."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{master.port}" for master in self.masters[:2])

    def ask_all(self, command: str) -> None:
        """Give every member a command."""
        for member in self._members:
            member.ask(command)

    def owner(self, channel: str) -> ClusterMember:
        """The member that owns the channel's slot, as the last master sees it."""
        slot = key_slot(channel.encode())
        slots: list[list[object]] = self.masters[-1].ask("CLUSTER SLOTS")
        (port,) = [row[2][1] for row in slots if row[0] <= slot <= row[1]]  # type: ignore[index,operator]
        return next(member for member in self._members if member.port == port)

    def move(self, channel: str, new: ClusterMember) -> None:
        """Give the channel's slot to another master, as `redis-cli --cluster reshard` does."""
        slot, old = key_slot(channel.encode()), self.owner(channel)
        new.ask("CLUSTER SETSLOT", slot, "IMPORTING", old.id)
        old.ask("CLUSTER SETSLOT", slot, "MIGRATING", new.id)
        for member in (new, old):
            member.ask("CLUSTER SETSLOT", slot, "NODE", new.id)


@contextmanager
def running_cluster(folder: Path, masters: int = 3) -> Iterator[Cluster]:
    """A cluster that serves all slots."""
    members: list[ClusterMember] = []
    try:
        for n in range(masters + 1):
            members.append(ClusterMember(folder / f"redis{n}"))  # noqa: PERF401  each is killed if the next fails
        for n, member in enumerate(members):
            member.ask("CLUSTER SET-CONFIG-EPOCH", n + 1)
            if n < masters:
                first, last = (REDIS_CLUSTER_HASH_SLOTS * k // masters for k in (n, n + 1))
                member.ask("CLUSTER ADDSLOTSRANGE", first, last - 1)
            members[0].meet(member)
        eventually(lambda: {member.knows() for member in members} == {len(members)})
        members[-1].ask("CLUSTER REPLICATE", members[0].id)
        eventually(lambda: all(member.healthy() for member in members))
        yield Cluster(members)
    finally:
        for member in members:
            member.kill()
