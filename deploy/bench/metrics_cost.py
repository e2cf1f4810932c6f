"""What recording costs: the same fan-out with the real recorder and with the null recorder, taking turns."""

from __future__ import annotations

from app.metrics import Metrics
from app.realtime.connection import Connection
from deploy.bench import sinks
from deploy.bench.delivery import FRAME
from deploy.bench.fanout import FanOut, connections, cpu_s, make_hub
from deploy.bench.report import Figure, beside
from deploy.bench.size import Size

TITLE = "CPU per delivery with and without metrics"


def run(size: Size) -> list[Figure]:
    """One conversation of all, then many of two."""
    few = min(10_000, size.listeners) // 2 * 2
    with sinks.listening(size.listeners) as (sink, socks):
        conns = connections(socks)
        return [
            _compare(f"one conversation of {len(conns)}", conns, len(conns), sink, size.rounds),
            _compare(f"{few // 2} conversations of 2", conns[:few], 2, sink, size.rounds),
        ]


def _compare(name: str, conns: list[Connection], members: int, sink: sinks.Sink, rounds: int) -> Figure:
    real, null = (FanOut(make_hub(metrics), conns, members) for metrics in (Metrics(), Metrics(recording=False)))

    def us(hub: FanOut) -> float:
        return cpu_s(lambda: hub.message(FRAME), sink, len(conns) * len(FRAME)) / len(conns) * 1e6

    us(real), us(null)
    # A B B A: neither is always the one that finds the caches warm.
    turns = [(us(real), us(null), us(null), us(real)) for _ in range(rounds)]
    with_us, without_us = [(a + d) / 2 for a, _, _, d in turns], [(b + c) / 2 for _, b, c, _ in turns]
    return beside(name, "µs", with_us, "null recorder", without_us, "≤ 1.05", "1.02")
