"""Which Redis carries a channel: the one there is, or the master of a cluster that owns the channel's slot.

A `Line` is one bare connection of redis-py, for one purpose, without its retries: a retry within would hide
a cut from the shard, which must know that it was deaf. For the same reason its cluster client is not used: it
holds all shards of a master on one connection and mends them together.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Protocol
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, parse_url
from redis.crc import key_slot
from redis.exceptions import MovedError
from redis.retry import Retry

from app.config import on_cluster
from app.errors import ConfigError

TIMEOUT_S = 1.0
"""A Redis that takes longer to accept a connection or to answer counts as away: the log is faster."""

Address = tuple[str, int]


class Line:
    """One connection, made once. Every answer is bounded in time; all methods raise redis.RedisError or OSError."""

    def __init__(self, url: str) -> None:
        """`url`: redis://, rediss:// or unix://; raises ValueError or TypeError when it has a wrong option."""
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # what Redis pushes then comes as plain replies, in order
        } | parse_url(url)  # type: ignore[no-untyped-call]
        self._conn = options.pop("connection_class", Connection)(**options)

    def connect(self) -> Line:
        """Connect and sign in."""
        self._conn.connect()
        return self

    def send(self, *command: str | bytes) -> None:
        """Send a command without waiting for its answer."""
        self._conn.send_command(*command)

    def waits(self, timeout_s: float) -> bool:
        """Whether there is something to read, at the latest after `timeout_s`."""
        return bool(self._conn.can_read(timeout_s))

    def read(self) -> Any:
        """The next answer; an error that Redis answered is raised."""
        return self._conn.read_response()

    def ask(self, *command: str | bytes) -> Any:
        """Send a command and read its answer."""
        self.send(*command)
        return self.read()

    def close(self) -> None:
        """Harmless when closed before."""
        self._conn.disconnect()


class Endpoint(Protocol):
    """Where channels are published and heard."""

    sharded: bool
    """Whether a channel is on one Redis only: then it takes the commands of sharded Pub/Sub."""

    def dial(self, channel: str) -> Line:
        """A new line to the Redis that carries `channel`; raises redis.RedisError or OSError."""

    def failed(self, channel: str, error: Exception) -> None:
        """What a line for `channel` ended with; the next `dial` takes it into account."""


class SingleRedis:
    """One Redis for all channels."""

    sharded = False

    def __init__(self, url: str) -> None:
        """`url`: redis://, rediss:// or unix://; raises ValueError or TypeError when it has a wrong option."""
        Line(url)
        self._url = url

    def dial(self, channel: str) -> Line:  # noqa: ARG002  the same Redis for each
        """A new line."""
        return Line(self._url).connect()

    def failed(self, channel: str, error: Exception) -> None:
        """There is no other Redis to try."""


class RedisCluster:
    """The masters of a cluster. Their slots are asked for again whenever a line was lost."""

    sharded = True

    def __init__(self, url: str) -> None:
        """`url`: redis+cluster:// or rediss+cluster://, with some of the cluster's addresses, comma-separated.

        Raises ValueError or TypeError when it has a wrong option.
        """
        parts = urlsplit(url)
        login, at, hosts = parts.netloc.rpartition("@")
        self._prefix = f"{parts.scheme.removesuffix('+cluster')}://{login}{at}"
        self._suffix = f"/0?{parts.query}" if parts.query else "/0"
        self._seeds = [_address(host) for host in hosts.split(",")]
        for seed in self._seeds:
            Line(self._url(seed))
        self._learnt: list[Address] = []
        self._slots: list[tuple[int, int, Address]] = []
        self._moved: dict[int, Address] = {}

    def dial(self, channel: str) -> Line:
        """A new line to the master that owns the slot of `channel`."""
        return self._connect(self._owner(key_slot(channel.encode())))

    def failed(self, channel: str, error: Exception) -> None:
        """A redirection says where the slot is now; after anything else the cluster is asked."""
        if isinstance(error, MovedError) and error.host:
            self._moved[key_slot(channel.encode())] = (error.host, error.port)
        else:
            self._slots, self._moved = [], {}

    def _owner(self, slot: int) -> Address:
        if slot in self._moved:
            return self._moved[slot]
        if not self._slots:
            self._slots = self._ask_for_slots()
        for first, last, master in self._slots:
            if first <= slot <= last:
                return master
        self._slots = []
        raise redis.RedisError(f"no master of the cluster owns slot {slot}")

    def _ask_for_slots(self) -> list[tuple[int, int, Address]]:
        """The cluster's slots, from the first of its nodes that answers.

        That one is asked last the next time: it may be cut off from the others and know only what was.
        """
        error: Exception = redis.RedisError("the cluster has no address")
        for address in dict.fromkeys(self._learnt + self._seeds):
            try:
                with closing(self._connect(address)) as line:
                    reply = line.ask("CLUSTER SLOTS")
            except (redis.RedisError, OSError) as failure:
                error = failure
                continue
            known = {_named(node, address) for row in reply for node in row[2:]} - {address}
            self._learnt = [*known, address]
            return [(row[0], row[1], _named(row[2], address)) for row in reply]
        raise error

    def _connect(self, address: Address) -> Line:
        return Line(self._url(address)).connect()

    def _url(self, address: Address) -> str:
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"{self._prefix}{host}:{address[1]}{self._suffix}"


def endpoint_of(url: str) -> Endpoint:
    """The endpoint that a REDIS_URL names; its scheme says whether it is a cluster.

    Raises ConfigError when the Redis client does not understand the rest of it.
    """
    try:
        return RedisCluster(url) if on_cluster(url) else SingleRedis(url)
    except (ValueError, TypeError):  # its words are not repeated: they may hold a password
        raise ConfigError(["REDIS_URL: has an address or an option that the Redis client does not know"]) from None


def _address(text: str) -> Address:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "localhost", parts.port or 6379


def _named(node: list[Any], asked: Address) -> Address:
    """A node in a row of CLUSTER SLOTS; one without a name is to be reached where the one that was asked is."""
    host, port = node[0], node[1]
    return (host.decode() if host else asked[0]), port
