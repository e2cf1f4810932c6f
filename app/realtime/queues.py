"""Taking work out of a queue in batches, so that what waits together costs one database call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import gevent
from gevent.queue import Empty, Queue

T = TypeVar("T")


def take_batch(
    queue: Queue[T],
    limit: int,
    linger_s: float = 0.0,
    size: Callable[[T], int] = lambda _item: 0,
    max_size: float = math.inf,
) -> list[T]:
    """At least one item, waited for, and what else is there already, at most `limit`.

    With `linger_s` a batch that is not full waits once that long for others to come. It is also full
    when the `size` of its items together has reached `max_size`.
    """
    batch = [queue.get()]
    total = size(batch[0])
    if linger_s and queue.qsize() < limit - 1:
        gevent.sleep(linger_s)
    while len(batch) < limit and total < max_size:
        try:
            batch.append(queue.get_nowait())
        except Empty:
            break
        total += size(batch[-1])
    return batch
