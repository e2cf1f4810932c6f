"""Acknowledged sends a second on one node, in conversations of 2 whose members are both connected.

Every connection keeps a window of sends in flight. The window grows until throughput does so no more; the
figure is the best stage. Each send is also two deliveries, the sender's own device among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.bench import client
from deploy.bench.client import Rate
from deploy.bench.node import Bed, Node, seeded_node
from deploy.bench.report import Figure, Spread, percentile, spread
from deploy.bench.size import Size

TITLE = "Acknowledged sends on one node, conversations of 2, both members connected"
WINDOWS = (1, 2, 4, 8, 16)
GROWTH = 1.05
"""A stage that brings less than this over the best one so far is the last."""
ENOUGH = "1000000"  # sends a second for each device: the limit is not what is measured


def run(size: Size) -> list[Figure]:
    """Find the best window, then repeat that stage."""
    with (
        seeded_node(size.senders, min(10, size.senders - 1), SEND_RATE_PER_S=ENOUGH) as (made, node),
        client.process(node.port, made.tokens, size.senders) as tell,
    ):
        tell("connect", size.senders)
        tell("acknowledge")
        stages = list(_grow(tell, size.phase_s))
        best = max(stages, key=per_s).window
        costs, repeats = _repeat(tell, best, size, made, node)
    refused = sum(rate.errors for rate in (*stages, *repeats))
    latencies_ms = [1000 * latency for rate in repeats for latency in rate.latencies_s]
    per_connection = f"{size.senders} connections, {best} in flight on each"
    return [
        Figure(f"sends, {per_connection}", "1/s", spread([per_s(r) for r in repeats]), must="2,000", aim="6,000"),
        Figure("deliveries in the same time", "1/s", spread([rate.messages / rate.seconds for rate in repeats])),
        *(Figure(f"{n}, CPU a send", "µs", cost) for n, cost in costs.items()),
        Figure("send to ack, p50", "ms", spread([percentile(latencies_ms, 0.5)])),
        Figure("send to ack, p95", "ms", spread([percentile(latencies_ms, 0.95)])),
        *(Figure(f"sends with {rate.window} in flight", "1/s", spread([per_s(rate)])) for rate in stages),
        Figure("sends answered with an error", "", spread([refused])),
    ]


def per_s(rate: Rate) -> float:
    """Acknowledged sends a second."""
    return rate.acks / rate.seconds


def _grow(tell: client.Tell, seconds: float) -> Iterator[Rate]:
    best = 0.0
    for window in WINDOWS:
        rate: Rate = tell("send", window, seconds, "grow")
        yield rate
        if per_s(rate) < best * GROWTH:
            return
        best = max(best, per_s(rate))


def _repeat(tell: client.Tell, window: int, size: Size, made: Bed, node: Node) -> tuple[dict[str, Spread], list[Rate]]:
    node_us, database_us, rates = [], [], list[Rate]()
    for turn in range(size.passes):
        node_s, database_s = node.cpu_s(), made.database_cpu_s()
        rate: Rate = tell("send", window, size.phase_s, f"again{turn}")
        node_us.append((node.cpu_s() - node_s) / max(1, rate.acks) * 1e6)
        database_us.append((made.database_cpu_s() - database_s) / max(1, rate.acks) * 1e6)
        rates.append(rate)
    return {"node": spread(node_us), "database": spread(database_us)}, rates
