"""Memory of a node for each idle, authenticated connection whose person has 10 conversations of 2."""

from __future__ import annotations

import time

from deploy.bench import client
from deploy.bench.node import Node, seeded_node
from deploy.bench.report import Figure, spread
from deploy.bench.size import Size

TITLE = "Memory of one node per idle connection with 10 conversations of 2"
CONVERSATIONS = 10


def run(size: Size) -> list[Figure]:
    """Resident memory with a few connections and with all, divided by those that came between.

    The few come first so that code and pools that are loaded on first use do not count.
    """
    few = size.listeners // 50 + 1
    with (
        seeded_node(size.listeners, CONVERSATIONS) as (made, node),
        client.process(node.port, made.tokens, size.listeners) as tell,
    ):
        before = _settled(tell, few, size, node)
        after = _settled(tell, size.listeners - few, size, node)
    per_connection = (after - before) / (size.listeners - few)
    return [
        Figure("resident memory a connection", "KB", spread([per_connection / 1000]), must="≤ 4", aim="2"),
        Figure(f"resident memory with {size.listeners} connections", "MB", spread([after / 1e6])),
    ]


def _settled(tell: client.Tell, count: int, size: Size, node: Node) -> int:
    """Open `count` more connections, let them store their cursors, wait; resident bytes of the node then."""
    tell("connect", count)
    tell("acknowledge")
    time.sleep(size.settle_s)
    return node.resident_bytes()
