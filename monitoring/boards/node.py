"""One node from the inside: its processor, its memory, its loop, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring.boards.model import Board, Mapping, Panel, Query, Row, Step, runbook
from monitoring.boards.parts import NODES, ONE, P95, P99, ZERO, lines, quantiles, red_from, variables
from monitoring.signals import messenger as signals
from monitoring.spec.model import Slo

UID = "messenger-node"


def board(_slos: Sequence[Slo]) -> Board:
    """The board; no objective is told of a single node."""
    return Board(
        uid=UID,
        title="Messenger node",
        description="One node from the inside; choose it at the top.",
        tags=("messenger", "infrastructure"),
        variables=variables(signals.CONNECTIONS.name, signals.JOB),
        rows=(
            Row(5, (_up(), _age(), _connections(), _descriptors()), (6, 6, 6, 6), title="Now"),
            Row(8, (_cpu(), _memory(), _open()), (8, 8, 8), title="Process"),
            Row(8, (_loop(), _gc(), _requests()), (8, 8, 8), title="Event loop"),
            Row(8, (_database(), _pool(), _redis()), (8, 8, 8), title="What it waits for"),
        ),
    )


def _up() -> Panel:
    return Panel(
        key="node/up",
        title="Reached",
        description="Whether Prometheus reaches each node.",
        unit="short",
        queries=(Query(signals.UP.max(NODES, ("instance",)), "{{instance}}"),),
        kind="state-timeline",
        mappings=(Mapping(ZERO, "down", "red"), Mapping(ONE, "up", "green")),
        links=(runbook("node-down"),),
    )


def _age() -> Panel:
    return Panel(
        key="node/age",
        title="Running for",
        description="The youngest of the chosen nodes; young while nobody deployed is a node that dies and comes back.",
        unit="s",
        queries=(Query(f"min(time() - {signals.STARTED.value(NODES)})", "youngest"),),
        kind="stat",
        links=(runbook("node-down"),),
    )


def _connections() -> Panel:
    return Panel(
        key="node/connections",
        title="Connections",
        description="WebSocket connections on the chosen nodes.",
        unit="short",
        queries=(Query(signals.CONNECTIONS.sum(NODES, ("instance",)), "{{instance}}"),),
        kind="stat",
    )


def _descriptors() -> Panel:
    used = f"{signals.OPEN_DESCRIPTORS.max(NODES, ('instance',))} / {signals.MAX_DESCRIPTORS.max(NODES, ('instance',))}"
    return Panel(
        key="node/descriptors",
        title="Descriptors used",
        description="Share of the descriptors a process may have; each connection takes one. At the limit nobody can "
        "connect.",
        unit="percentunit",
        queries=(Query(used, "{{instance}}"),),
        kind="gauge",
        steps=(Step("green"), Step("orange", Decimal("0.8")), Step("red", Decimal("0.95"))),
        minimum=ZERO,
        maximum=ONE,
        links=(runbook("descriptors"),),
    )


def _cpu() -> Panel:
    return lines(
        "node/cpu",
        "CPU",
        "Share of one core; the event loop has one and no more. Near 100 % every message waits for it.",
        "percentunit",
        Query(signals.CPU.rate(NODES, ("instance",)), "{{instance}}"),
        steps=red_from(Decimal("0.9")),
        books=("loop-lag",),
    )


def _memory() -> Panel:
    return lines(
        "node/memory",
        "Memory",
        "Resident memory. It follows the connections; growth without them is a leak.",
        "bytes",
        Query(signals.MEMORY.sum(NODES, ("instance",)), "{{instance}}"),
        books=("slow-consumers",),
    )


def _open() -> Panel:
    return lines(
        "node/open",
        "Open descriptors",
        "Connections, database, Redis and files.",
        "short",
        Query(signals.OPEN_DESCRIPTORS.max(NODES, ("instance",)), "{{instance}}"),
        books=("descriptors",),
    )


def _loop() -> Panel:
    queries = quantiles(signals.LOOP_LAG)
    return lines(
        "node/loop",
        "Event loop lag",
        "How late the loop came back to a timer; everything a node does waits at least so long.",
        "s",
        *queries,
        steps=red_from(Decimal("0.1")),
        books=("loop-lag",),
    )


def _gc() -> Panel:
    return lines(
        "node/gc",
        "Garbage collection",
        "p99 of one collection, which stops the process; zero when there was none.",
        "s",
        Query(signals.GC_PAUSE.quantile_or_zero(P99, NODES), "p99"),
        books=("loop-lag",),
    )


def _requests() -> Panel:
    return lines(
        "node/requests",
        "Requests and commands",
        "HTTP requests and socket commands by how they ended.",
        "ops",
        Query(signals.REQUESTS.rate(NODES, ("transport", "outcome")), "{{transport}} {{outcome}}"),
        books=("requests",),
    )


def _database() -> Panel:
    queries = quantiles(signals.DATABASE_TIME)
    return lines(
        "node/database",
        "Database calls",
        "One transaction, waiting for a connection included.",
        "s",
        *queries,
        books=("database-disconnected", "database-pool-exhausted"),
    )


def _pool() -> Panel:
    return lines(
        "node/pool",
        "Waiting for a database connection",
        "Greenlets in the queue, and messages waiting to be committed. Above zero for a minute: the pool is too small "
        "or the database too slow.",
        "short",
        Query(signals.POOL_WAITING.sum(NODES, ("instance",)), "pool {{instance}}"),
        Query(signals.SEND_QUEUE.sum(NODES, ("instance",)), "sends {{instance}}"),
        steps=red_from(ONE),
        books=("database-pool-exhausted",),
    )


def _redis() -> Panel:
    return lines(
        "node/redis",
        "Redis publishes",
        "p95 of one publish, and whether the node hears the others on every shard.",
        "s",
        Query(signals.REDIS_TIME.quantile_or_zero(P95, NODES), "p95"),
        books=("bus-disconnected", "bus-losses"),
    )
