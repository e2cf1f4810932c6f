"""One shard of the bus: one channel, heard and told by a greenlet and a connection each.

Shards share nothing but the endpoint, so a master that is lost or stands still costs its own
shards only. Each of the two greenlets works for ever: connect, prove that Redis answers, work until
something fails, say what, wait, begin again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import gevent
import redis
from redis.exceptions import MovedError

from app import logs
from app.metrics import PATHS, Metrics
from app.realtime.bus.backlog import Backlog
from app.realtime.bus.endpoint import Endpoint, Line
from app.realtime.bus.wire import BusFrame, Reader, encode
from app.realtime.turns import give_way

RETRY_S = 0.5
REDIRECT_S = 0.05
PING_S = 1.0
SILENCE_S = 3.0
"""A subscription that answers no ping for so long is given up."""
TURN_S = 0.005
"""A subscriber that always finds more to read lets others run so often: reading what is there does not switch."""
NEVER = "not connected yet"

log = logs.get("bus")


class SubscriptionGone(redis.ConnectionError):
    """Redis is there, but the channel is elsewhere."""


class Shard:
    """The channel of one shard. `deaf` and `mute` say why it is not heard or cannot be told; None: all is well."""

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        node: str,
        reader: Reader,
        heard: Callable[[list[BusFrame]], None],
        metrics: Metrics,
    ) -> None:
        """`heard` gets what other nodes published, as whole lists; it must not wait."""
        self.deaf: str | None = NEVER
        self.mute: str | None = NEVER
        self._number = number
        # The braces make the number the part that is hashed to a slot of a cluster.
        self._channel = f"messenger:bus:{{{number}}}"
        self._endpoint = endpoint
        self._commands = ("SSUBSCRIBE", "SPUBLISH") if endpoint.sharded else ("SUBSCRIBE", "PUBLISH")
        self._node = node
        self._reader = reader
        self._heard = heard
        self._backlog = Backlog()
        self._told_nobody = False
        self._dropped = metrics.counter("messenger_bus_dropped_total")
        self._seconds = metrics.histogram("messenger_redis_command_seconds")
        self._failed = {path: metrics.counter("messenger_fanout_errors_total", path, "publish") for path in PATHS}
        self._publish = {path: metrics.histogram("messenger_fanout_stage_seconds", path, "publish") for path in PATHS}

    def publish(self, frames: list[BusFrame]) -> None:
        """Let frames wait for the publisher; while Redis is away they are dropped, at no cost."""
        self._count_dropped(frames if self.mute else self._backlog.put(frames))

    def _count_dropped(self, frames: list[BusFrame]) -> None:
        self._dropped.add(len(frames))
        for frame in frames:
            self._failed[frame.counted_as].add()

    def run_subscriber(self) -> None:
        """Hear the channel for ever."""
        while True:
            try:
                self._hear()
            except (redis.RedisError, OSError) as error:
                self.deaf = self._lost("heard", self.deaf, error)
                gevent.sleep(_pause_s(error))

    def run_publisher(self) -> None:
        """Publish what waits, for ever."""
        while True:
            try:
                self._tell()
            except (redis.RedisError, OSError) as error:
                if not isinstance(error, MovedError):  # then what waits can go to the new place
                    self.mute = self._lost("told", self.mute, error)
                    self._count_dropped(self._backlog.clear())
                gevent.sleep(_pause_s(error))

    def _lost(self, what: str, before: str | None, error: Exception) -> str:
        """The trouble in words; logged once, when it begins."""
        if before in (None, NEVER):
            log.warning(f"shard not {what}; the log of commits carries on", shard=self._number, error=str(error))
        return str(error) or type(error).__name__

    @contextmanager
    def _line(self) -> Iterator[Line]:
        """A line to where the channel is now; what goes wrong with it is told to the endpoint."""
        try:
            with closing(self._endpoint.dial(self._channel)) as line:
                yield line
        except (redis.RedisError, OSError) as error:
            self._endpoint.failed(self._channel, error)
            raise

    def _hear(self) -> None:
        with self._line() as line:
            line.ask(self._commands[0], self._channel)
            self._told_nobody = False
            self.deaf = None
            log.info("shard heard", shard=self._number)
            self._listen(line)

    def _listen(self, line: Line) -> None:
        """Hear frames until Redis fails; one that is silent must at least answer a ping."""
        answered_at = turn_began = time.monotonic()
        while not self._told_nobody:
            if line.waits(PING_S):
                self._receive(line.read())
                answered_at = time.monotonic()
                if answered_at - turn_began > TURN_S:
                    give_way()
                    turn_began = time.monotonic()
            elif time.monotonic() - answered_at > SILENCE_S:
                raise redis.TimeoutError("no answer to a ping")
            else:
                line.send("PING")
        raise SubscriptionGone("the subscription is not where the channel is")

    def _receive(self, reply: list[bytes]) -> None:
        kind = reply[0]
        if kind in (b"message", b"smessage"):
            frames = self._reader.read(reply[2])
            if frames:
                self._heard(frames)
        elif kind in (b"unsubscribe", b"sunsubscribe"):
            raise SubscriptionGone("the channel's slot moved to another master")

    def _tell(self) -> None:
        with self._line() as line:
            line.ask("PING")
            self.mute = None
            while True:
                if self._backlog.wait(PING_S):
                    self._send(line)
                else:
                    line.ask("PING")  # so that frames are not the first to learn that Redis is away

    def _send(self, line: Line) -> None:
        batch = self._backlog.take()
        started = time.perf_counter()
        try:
            receivers = line.ask(self._commands[1], self._channel, encode(self._node, [frame for _, frame in batch]))
        except (redis.RedisError, OSError):
            self._backlog.put_back(batch)
            raise
        finally:
            self._seconds.observe(time.perf_counter() - started)
        if self._endpoint.sharded and not receivers and not self.deaf:
            self._told_nobody = True  # not even this node: its own subscription must be on another master
        now = time.perf_counter()
        for came_at, frame in batch:
            self._publish[frame.counted_as].observe(now - came_at)


def _pause_s(error: Exception) -> float:
    """Before the next try: short when Redis is there, else spread so that nodes do not come back in step."""
    if isinstance(error, (MovedError, SubscriptionGone)):
        return REDIRECT_S
    return RETRY_S * random.uniform(0.5, 1.0)  # noqa: S311
