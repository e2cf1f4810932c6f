"""The arithmetic of going away and coming back, and of starting again."""

from __future__ import annotations

import doctest
import random
from collections import Counter

import pytest

from app import server, workers
from app.server import DRAIN_TICK_S, RECONNECTS_PER_S, batch_size, reconnect_window_ms


def test_the_examples_in_the_docstrings() -> None:
    for module in (server, workers):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("connections", [1, 99, 1_000, 18_500, 200_000])
@pytest.mark.parametrize("drain_s", [1, 20, 600])
def test_all_are_closed_in_time(connections: int, drain_s: int) -> None:
    assert batch_size(connections, drain_s) * drain_s / DRAIN_TICK_S >= connections


@pytest.mark.parametrize("drain_s", [1, 20])
def test_reconnects_stay_below_the_rate_however_fast_the_closes(drain_s: int) -> None:
    connections, chance = 18_500, random.Random(1)
    size, window_ms = batch_size(connections, drain_s), reconnect_window_ms(connections)
    arrivals = Counter(int(n // size * DRAIN_TICK_S + chance.randrange(window_ms) / 1000) for n in range(connections))
    # By chance a second may hold some more: five standard deviations of the mean.
    assert max(arrivals.values()) <= RECONNECTS_PER_S + 5 * RECONNECTS_PER_S**0.5
