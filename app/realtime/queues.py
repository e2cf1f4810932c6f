"""Taking work out of a queue in batches, so that what waits together costs one database call."""

from __future__ import annotations

from typing import TypeVar

import gevent
from gevent.queue import Empty, Queue

T = TypeVar("T")


def take_batch(queue: Queue[T], limit: int, linger_s: float = 0.0) -> list[T]:
    """At least one item, waited for, and what else is there already, at most `limit`.

    With `linger_s` a batch that is not full waits once that long for others to come.
    """
    batch = [queue.get()]
    if linger_s and queue.qsize() < limit - 1:
        gevent.sleep(linger_s)
    while len(batch) < limit:
        try:
            batch.append(queue.get_nowait())
        except Empty:
            break
    return batch
