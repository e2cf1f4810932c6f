"""Speed between nodes: what was committed here is told to the others at once.

The bus may lose anything. Truth is the database; the reconciler brings within its next poll what
the bus did not. So publishing never waits, and what cannot be carried is dropped and counted.

`wire` is what travels, `handover` is where it leaves and enters this node, `backlog` is what waits to
leave. `endpoint` knows which Redis carries a channel, `shard` hears and tells one channel, `redis_bus`
is all shards together. `LocalBus` is for a node that is alone.
"""

from __future__ import annotations

from typing import Protocol

from app.realtime.bus.wire import BusFrame


class Bus(Protocol):
    """Carries frames to the other nodes."""

    @property
    def connected(self) -> bool:
        """Whether every shard is heard and can be told."""

    def problem(self) -> str | None:
        """What is wrong with the bus, in words for the readiness page; None when all is well."""

    def publish(self, frames: list[BusFrame]) -> None:
        """Send soon; never waits, may lose."""

    def run(self) -> None:
        """Keep the bus going; a greenlet of its own."""

    def close(self) -> None:
        """Let go of connections."""


class LocalBus:
    """The bus of a node that has no Redis: there are no other nodes to tell."""

    connected = True

    def problem(self) -> str | None:
        """Nothing can be wrong."""
        return None

    def publish(self, frames: list[BusFrame]) -> None:
        """Nobody else listens."""

    def run(self) -> None:
        """Nothing to keep going."""

    def close(self) -> None:
        """Nothing to let go."""
