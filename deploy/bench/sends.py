"""Acknowledged sends a second on one node, in conversations of 2 whose members are both connected.

Every connection keeps a window of sends in flight. The window grows until throughput does so no more; the
figure is the best stage. Each send is also two deliveries, the sender's own device among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.bench import client
from deploy.bench.client import Rate
from deploy.bench.node import Bed, Node, seeded_node
from deploy.bench.report import Figure, percentile, spread
from deploy.bench.size import Size

TITLE = "Acknowledged sends on one node, conversations of 2, both members connected"
WINDOWS = (1, 2, 4, 8, 16)
GROWTH = 1.05
"""A stage that brings less than this over the best one so far has not grown."""
PATIENCE = 2
ENOUGH = "1000000"  # sends a second for each device: the limit is not what is measured


@dataclass(frozen=True)
class Stage:
    """One stage, and what it cost: µs of CPU a send, and messages in one commit."""

    rate: Rate
    node_us: float
    database_us: float
    client_us: float
    batch_rows: float

    @property
    def per_s(self) -> float:
        """Acknowledged sends a second."""
        return self.rate.acks / self.rate.seconds


def run(size: Size) -> list[Figure]:
    """Find the best window, then repeat that stage."""
    with (
        seeded_node(size.senders, min(10, size.senders - 1), SEND_RATE_PER_S=ENOUGH) as (made, node),
        client.process(node.port, made.tokens, size.senders) as tell,
    ):
        tell("connect", size.senders)
        tell("acknowledge")

        def stage(window: int, tag: str) -> Stage:
            return _stage(tell, window, size.phase_s, tag, made, node)

        grown = list(_grow(lambda window: stage(window, "grow")))
        best = max(grown, key=lambda s: s.per_s).rate.window
        repeats = [stage(best, f"again{n}") for n in range(size.passes)]
    return _figures(f"{size.senders} connections, {best} in flight on each", grown, repeats)


def _figures(how: str, grown: list[Stage], repeats: list[Stage]) -> list[Figure]:
    latencies_ms = [1000 * latency for stage in repeats for latency in stage.rate.latencies_s]
    deliveries = [stage.rate.messages / stage.rate.seconds for stage in repeats]
    errors = sum(stage.rate.errors for stage in (*grown, *repeats))
    return [
        Figure(f"sends, {how}", "1/s", spread([s.per_s for s in repeats]), must="2,000", aim="6,000"),
        Figure("deliveries in the same time", "1/s", spread(deliveries)),
        Figure("CPU of the node a send", "µs", spread([s.node_us for s in repeats])),
        Figure("CPU of the database a send", "µs", spread([s.database_us for s in repeats])),
        Figure("CPU of the client a send", "µs", spread([s.client_us for s in repeats])),
        Figure("messages in one commit", "", spread([s.batch_rows for s in repeats])),
        Figure("send to ack, p50", "ms", spread([percentile(latencies_ms, 0.5)])),
        Figure("send to ack, p95", "ms", spread([percentile(latencies_ms, 0.95)])),
        *(Figure(f"sends with {s.rate.window} in flight", "1/s", spread([s.per_s])) for s in grown),
        Figure("sends answered with an error", "", spread([errors])),
    ]


def _grow(stage: Callable[[int], Stage]) -> Iterator[Stage]:
    """Wider and wider, until two stages in a row bring nothing."""
    best, idle = 0.0, 0
    for window in WINDOWS:
        done = stage(window)
        yield done
        idle = 0 if done.per_s > best * GROWTH else idle + 1
        best = max(best, done.per_s)
        if idle == PATIENCE:
            return


def _stage(tell: client.Tell, window: int, seconds: float, tag: str, made: Bed, node: Node) -> Stage:
    before = _costs(tell, made, node)
    rate: Rate = tell("send", window, seconds, tag)
    after = _costs(tell, made, node)
    *cpu_s, rows, commits = (b - a for a, b in zip(before, after, strict=True))
    node_us, database_us, client_us = (seconds / max(1, rate.acks) * 1e6 for seconds in cpu_s)
    return Stage(rate, node_us, database_us, client_us, rows / max(1.0, commits))


def _costs(tell: client.Tell, made: Bed, node: Node) -> list[float]:
    """CPU seconds of node, database and client so far; messages committed, and commits."""
    batches = "messenger_send_batch_rows"
    cpu_s = [node.cpu_s(), made.database_cpu_s(), tell("cpu")]
    return [*cpu_s, node.metric(f"{batches}_sum"), node.metric(f"{batches}_count")]
