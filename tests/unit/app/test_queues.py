"""A batch is bounded in items and in size, and never empty."""

from __future__ import annotations

from gevent.queue import Queue
from hypothesis import given
from hypothesis import strategies as st

from app.realtime.queues import take_batch


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 200))
def test_batches_take_everything_in_order_within_their_bounds(sizes: list[int], limit: int, max_size: int) -> None:
    queue: Queue[int] = Queue()
    for size in sizes:
        queue.put(size)
    taken: list[int] = []
    while queue.qsize():
        batch = take_batch(queue, limit, size=lambda item: item, max_size=max_size)
        assert 1 <= len(batch) <= limit
        assert sum(batch[:-1]) < max_size, "full before its last item was taken"
        more = queue.qsize()
        assert not more or len(batch) == limit or sum(batch) >= max_size
        taken += batch
    assert taken == sizes
