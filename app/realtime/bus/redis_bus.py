"""The bus over Redis Pub/Sub: all shards together.

A conversation always travels on the same shard. Every node hears all shards: what nobody
listens to here is passed over cheaply, while a subscription for each conversation would have to be restored,
one by one, whenever Redis was away.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent

from app.metrics import Metrics
from app.realtime.bus.endpoint import endpoint_of
from app.realtime.bus.shard import Shard
from app.realtime.bus.wire import BusFrame, Reader, Wanted


class RedisBus:
    """Redis Pub/Sub, sharded on a cluster."""

    def __init__(
        self,
        url: str,
        shards: int,
        node: str,
        heard: Callable[[list[BusFrame]], None],
        wanted: Wanted,
        metrics: Metrics,
    ) -> None:
        """`node` is unique to this process, `shards` the same on all nodes.

        `heard` is called with lists of frames that other nodes published and that `wanted` asked for;
        both must not wait.
        """
        endpoint = endpoint_of(url)
        reader = Reader(node, wanted, metrics)
        self._shards = [Shard(n, endpoint, node, reader, heard, metrics) for n in range(shards)]

    @property
    def connected(self) -> bool:
        """Whether every shard is heard and can be told."""
        return not any(shard.deaf or shard.mute for shard in self._shards)

    def problem(self) -> str | None:
        """Which shards go through the log only, and why the first of them does."""
        troubled = {n: shard.deaf or shard.mute for n, shard in enumerate(self._shards) if shard.deaf or shard.mute}
        if not troubled:
            return None
        first = next(iter(troubled.values()))
        if len(troubled) == len(self._shards):
            return f"other nodes are heard through the log only: {first}"
        numbers = ", ".join(map(str, troubled))
        return f"shards {numbers} of {len(self._shards)} go through the log only: {first}"

    def publish(self, frames: list[BusFrame]) -> None:
        """Hand each frame to its shard."""
        count = len(self._shards)
        if count == 1:
            self._shards[0].publish(frames)
            return
        by_shard: dict[int, list[BusFrame]] = {}
        for frame in frames:
            by_shard.setdefault(frame.key % count, []).append(frame)
        for number, its in by_shard.items():
            self._shards[number].publish(its)

    def run(self) -> None:
        """Hear and tell all shards for ever; when one greenlet fails in a way it does not know, all end."""
        greenlets = [gevent.spawn(work) for s in self._shards for work in (s.run_subscriber, s.run_publisher)]
        try:
            gevent.joinall(greenlets, raise_error=True, count=1)
        finally:
            gevent.killall(greenlets)

    def close(self) -> None:
        """Each greenlet closed its connection when it ended."""
