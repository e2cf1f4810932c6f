"""Taking everything that waits, so that one costly step serves many."""

from __future__ import annotations

from typing import TypeVar

from gevent.queue import Empty, Queue

T = TypeVar("T")


def take_batch(queue: Queue[T], limit: int) -> list[T]:
    """At least one item, waited for, and what else is there already, at most `limit`."""
    batch = [queue.get()]
    while len(batch) < limit:
        try:
            batch.append(queue.get_nowait())
        except Empty:
            break
    return batch
