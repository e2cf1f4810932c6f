"""How long minting people, devices, conversations and tokens takes here (`make seed-100k`)."""

from __future__ import annotations

import time

from deploy.bench.node import bed
from deploy.bench.report import Figure, spread
from deploy.bench.size import FULL, Size

TITLE = "Minting people, devices, conversations and tokens"
DEVICES = 100_000


def run(size: Size) -> list[Figure]:
    """Seconds for 100,000 devices, with 1 and with 10 conversations of 2 each; fewer when the run is small."""
    devices = DEVICES if size.listeners >= FULL else size.listeners
    return [
        Figure(f"{devices} devices, {conversations} conversation(s) of 2 each", "s",
               spread([_seconds(devices, conversations)]))
        for conversations in (1, 10)
    ]  # fmt: skip


def _seconds(devices: int, conversations: int) -> float:
    with bed() as made:
        started = time.perf_counter()
        made.seed(devices, conversations)
        return time.perf_counter() - started
