"""Speed between nodes: what was committed here is told to the others at once.

The bus may lose anything. Truth is the database; the reconciler brings within its next poll what
the bus did not. So publishing never waits: a bounded queue drops its oldest frame when Redis is
slow or away, and says so in a metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import gevent
import msgspec
import redis
from gevent.queue import Full, Queue

from app import logs
from app.domain.ids import ConversationId, UserId
from app.domain.log import Kind
from app.metrics import Metrics
from app.realtime.hub import Hub, Sequenced
from app.realtime.queues import take_batch

CHANNEL = "messenger:bus:0"
MAX_QUEUED = 10_000
MAX_BATCH = 256
RETRY_S = 0.5
PING_S = 1.0

log = logs.get("bus")


class BusFrame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One frame between nodes. `seq` 0: not a row of the log. `conv` 0: for every connection."""

    node: str
    path: str
    conv: int
    seq: int
    kind: int
    user: int
    ts: float
    frame: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[BusFrame]).decode


class Bus(Protocol):
    """Carries frames to the other nodes."""

    connected: bool

    def publish(self, frames: list[BusFrame]) -> None:
        """Send soon; never waits, may lose."""

    def run(self) -> None:
        """Keep the bus going; a greenlet of its own."""

    def close(self) -> None:
        """Let go of connections."""


class LocalBus:
    """The bus of a node that has no Redis: there are no other nodes to tell."""

    connected = True

    def publish(self, frames: list[BusFrame]) -> None:
        """Nobody else listens."""

    def run(self) -> None:
        """Nothing to keep going."""

    def close(self) -> None:
        """Nothing to let go."""


class RedisBus:
    """Redis Pub/Sub. One channel, one PUBLISH for all frames that wait."""

    def __init__(self, url: str, node: str, heard: Callable[[BusFrame], None], metrics: Metrics) -> None:
        """`node` is unique to this process; `heard` is called with each frame that another one published."""
        self._redis = redis.Redis.from_url(
            url, socket_timeout=2.0, socket_connect_timeout=2.0, health_check_interval=0, retry_on_timeout=False
        )
        self._node = node
        self._heard = heard
        self._queue: Queue[BusFrame] = Queue(maxsize=MAX_QUEUED)
        self._dropped = metrics.counter("messenger_bus_dropped_total")
        self._seconds = metrics.histogram("messenger_redis_command_seconds")
        self._publish_stage = metrics.histogram("messenger_fanout_stage_seconds", "message", "publish")
        self._relay_stage = metrics.histogram("messenger_fanout_stage_seconds", "message", "relay")
        self.connected = False

    def publish(self, frames: list[BusFrame]) -> None:
        """Queue for the publisher; the oldest frame makes room when the queue is full."""
        for frame in frames:
            while True:
                try:
                    self._queue.put_nowait(frame)
                    break
                except Full:
                    self._queue.get_nowait()
                    self._dropped.add()

    def run(self) -> None:
        """Subscribe and publish for ever; when one of the two fails, both end."""
        both = [gevent.spawn(self._subscriber), gevent.spawn(self._publisher)]
        try:
            gevent.joinall(both, raise_error=True, count=1)
        finally:
            gevent.killall(both)

    def close(self) -> None:
        """Let go of connections."""
        self._redis.close()

    def _publisher(self) -> None:
        while True:
            batch: list[BusFrame] = take_batch(self._queue, MAX_BATCH)
            started = time.perf_counter()
            try:
                self._redis.publish(CHANNEL, _encode(batch))
            except redis.RedisError:
                self._dropped.add(len(batch))
                continue
            finally:
                self._seconds.observe(time.perf_counter() - started)
            self._publish_stage.observe(time.perf_counter() - started, len(batch))

    def _subscriber(self) -> None:
        while True:
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(CHANNEL)
                    pubsub.get_message(timeout=2.0)  # the subscription's confirmation
                    self.connected = True
                    log.info("bus connected")
                    self._listen(pubsub)
            except redis.RedisError as error:
                if self.connected:
                    log.warning("bus lost; the log of commits carries on", error=str(error))
                self.connected = False
                gevent.sleep(RETRY_S)

    def _listen(self, pubsub: redis.client.PubSub) -> None:
        """Hear frames until Redis fails; a Redis that is silent must at least answer a ping."""
        heard_at = time.monotonic()
        while True:
            message = pubsub.get_message(ignore_subscribe_messages=False, timeout=PING_S)
            now = time.monotonic()
            if message is not None:
                heard_at = now
                self._receive(message)
            elif now - heard_at > 3 * PING_S:
                raise redis.TimeoutError("no answer to a ping")
            else:
                pubsub.ping()

    def _receive(self, message: dict[str, object]) -> None:
        if message["type"] != "message":
            return
        try:
            frames = _decode(message["data"])  # type: ignore[arg-type]
        except msgspec.DecodeError:
            self._dropped.add()
            return
        for frame in frames:
            if frame.node == self._node:
                continue
            self._relay_stage.observe(max(0.0, time.time() - frame.ts))
            try:
                self._heard(frame)
            except (KeyError, ValueError):
                self._dropped.add()  # of a newer version, with a path or kind that this one does not know


def to_bus(node: str, event: Sequenced) -> BusFrame:
    """A row of the log as the bus carries it."""
    return BusFrame(node, "message", event.conv, event.seq, event.kind, event.user, event.ts, event.frame)


def hand_on(hub: Hub, frame: BusFrame) -> None:
    """Give what another node published to this node's sockets."""
    conv, user = ConversationId(frame.conv), UserId(frame.user)
    if frame.seq:
        hub.deliver(Sequenced(conv, frame.seq, Kind(frame.kind), user, frame.ts, frame.frame))
    elif frame.conv:
        hub.to_conversation(frame.path, conv, frame.frame, frame.ts, but=user or None)
    else:
        hub.to_all(frame.path, frame.frame, frame.ts)
