"""Authenticated connects a second into one node, the client and the database on the same machine.

The first pass is the first time these devices come: the node sends them their logs and they store their
cursors. The passes that count are the second and later ones, which is how devices come back.
"""

from __future__ import annotations

import time

from deploy.bench import client
from deploy.bench.node import Bed, Node, seeded_node
from deploy.bench.report import Figure, spread
from deploy.bench.size import Size

TITLE = "Authenticated connects into one node, at most 200 in flight"
CONVERSATIONS = 10


def run(size: Size) -> list[Figure]:
    """One cold pass, then those that count; CPU of each part beside."""
    with (
        seeded_node(size.connects, CONVERSATIONS) as (made, node),
        client.process(node.port, made.tokens, size.connects) as tell,
    ):
        first_s = tell("connect", size.connects)
        tell("acknowledge")
        passes = [_pass(tell, size, made, node) for _ in range(size.passes)]
    rates, node_us, database_us, client_us = ([row[i] for row in passes] for i in range(4))
    return [
        Figure("connects", "1/s", spread(rates), must="1,000", aim="1,800"),
        Figure("CPU of the node a connect", "µs", spread(node_us)),
        Figure("CPU of the database a connect", "µs", spread(database_us)),
        Figure("CPU of the client a connect", "µs", spread(client_us)),
        Figure("first connects, logs sent", "1/s", spread([size.connects / first_s])),
    ]


def _pass(tell: client.Tell, size: Size, made: Bed, node: Node) -> list[float]:
    """Hang up, come again: connects a second, and µs of CPU of node, database and client for each."""
    time.sleep(size.settle_s)
    tell("hang_up")
    time.sleep(size.settle_s)
    before = node.cpu_s(), made.database_cpu_s(), tell("cpu")
    took_s = tell("connect", size.connects)
    after = node.cpu_s(), made.database_cpu_s(), tell("cpu")
    return [size.connects / took_s, *((b - a) / size.connects * 1e6 for a, b in zip(before, after, strict=True))]
