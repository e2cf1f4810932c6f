"""Where devices are connected, for those who ask, and when they were last seen.

`device:<id>:session` in Redis says which node a device is connected to and since when: a plain string that ends by
itself, so whatever dies leaves nothing wrong for long, and nothing depends on it. `last seen` is written to the
database when a device comes and when it goes; while it is connected, it is now. Both are written every two seconds,
together: a connect costs no statement of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import gevent
import msgspec
import redis
from redis.cluster import ClusterNode, RedisCluster

from app import logs
from app.config import on_cluster
from app.domain.ids import DeviceId
from app.errors import AppError
from app.realtime.hub import Hub, Session

FLUSH_S = 2.0
REFRESH_TURNS = 50
"""Every device here has its key renewed once in so many turns, a part each turn; all at once when Redis forgot one."""
TTL_S = 250
"""More than two renewals."""
TIMEOUT_S = 1.0
MAX_WAITING = 200_000

log = logs.get("whereabouts")


class Whereabouts:
    """One per node."""

    def __init__(
        self, hub: Hub, redis_url: str | None, node: str, saw: Callable[[Mapping[DeviceId, float]], None]
    ) -> None:
        """`saw` stores when devices were last seen (Unix seconds)."""
        self._hub = hub
        self._node = node
        self._saw = saw
        self._client = _client(redis_url) if redis_url else None
        self._come: dict[DeviceId, bytes] = {}
        self._gone: dict[DeviceId, bytes] = {}
        self._seen: dict[DeviceId, float] = {}
        self._turn = 0
        self._failing = False

    def came(self, session: Session) -> None:
        """This device is connected. Never waits."""
        if len(self._seen) < MAX_WAITING:
            self._seen[session.device] = session.since
            self._come[session.device] = self._value(session)

    def went(self, session: Session) -> None:
        """This device is not connected any more. Never waits."""
        if len(self._seen) < MAX_WAITING:
            self._seen[session.device] = time.time()
            self._come.pop(session.device, None)
            self._gone[session.device] = self._value(session)

    def run(self) -> None:
        """Write for ever; a greenlet of its own."""
        while True:
            gevent.sleep(FLUSH_S)
            self.flush()

    def flush(self) -> None:
        """Write what waits, and renew a part of the keys. What Redis does not take comes with a renewal."""
        seen, self._seen = self._seen, {}
        if seen:
            try:
                self._saw(seen)
            except AppError as error:
                log.warning("last seen could not be written", error=error.message)
        come, self._come = self._come, {}
        gone, self._gone = self._gone, {}
        if self._client is None:
            return
        self._turn += 1
        part = self._turn % REFRESH_TURNS
        sessions = list(self._hub.sessions())
        everybody = self._forgotten(sessions)
        come |= {s.device: self._value(s) for s in sessions if everybody or s.device % REFRESH_TURNS == part}
        self._write(come, gone)

    def connected(self, devices: Sequence[DeviceId]) -> dict[DeviceId, float]:
        """Which of these devices are connected to any node, and when that was known (now, in Unix seconds).

        While Redis is away, only those of this node.
        """
        now = time.time()
        here = {device: now for device in devices if self._hub.session(device) is not None}
        elsewhere = [device for device in devices if device not in here]
        if self._client is None or not elsewhere:
            return here
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for device in elsewhere:
                    pipeline.get(_key(device))
                values = pipeline.execute()
        except (redis.RedisError, OSError):
            return here
        return here | {device: now for device, value in zip(elsewhere, values, strict=True) if value is not None}

    def _forgotten(self, sessions: Sequence[Session]) -> bool:
        """Whether Redis lost what it was told (FLUSHALL, a new Redis): who has long been here has no key there."""
        long_since = time.time() - 2 * FLUSH_S
        known = next((session for session in sessions if session.since < long_since), None)
        if known is None or self._client is None:
            return False
        try:
            return not self._client.exists(_key(known.device))
        except (redis.RedisError, OSError):
            return False  # `_write` says so

    def _write(self, come: Mapping[DeviceId, bytes], gone: Mapping[DeviceId, bytes]) -> None:
        if self._client is None or not (come or gone):
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for device, value in come.items():
                    pipeline.set(_key(device), value, ex=TTL_S)
                for device in gone:
                    pipeline.get(_key(device))
                stored = pipeline.execute()[len(come) :]
                # Only what this node wrote: the device may be connected elsewhere by now.
                for (device, value), found in zip(gone.items(), stored, strict=True):
                    if found == value:
                        pipeline.delete(_key(device))
                pipeline.execute()
            self._failing = False
        except (redis.RedisError, OSError) as error:
            if not self._failing:
                log.warning("sessions could not be told to Redis", error=type(error).__name__)
            self._failing = True

    def _value(self, session: Session) -> bytes:
        return msgspec.json.encode({"node": self._node, "since": round(session.since, 3), "user": session.user})


def _key(device: DeviceId) -> str:
    return f"device:{device}:session"


def _client(url: str) -> Any:
    """A client that waits for nobody longer than a second; its words on a wrong URL are the bus's."""
    options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
    if not on_cluster(url):
        return redis.Redis.from_url(url, **options)
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    seed = urlsplit(f"redis://{login}{at}{hosts.split(',')[0]}")
    nodes = [urlsplit(f"//{host}") for host in hosts.split(",")]
    return _LazyCluster(
        startup_nodes=[
            ClusterNode(node.hostname or "localhost", node.port or 6379)  # type: ignore[no-untyped-call]
            for node in nodes
        ],
        username=seed.username,
        password=seed.password,
        ssl=parts.scheme.startswith("rediss"),
        **options,
    )


class _LazyCluster:
    """A cluster's client connects when it is made; a node must start without its Redis."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = RedisCluster(**self._options)
        return getattr(self._made, name)
