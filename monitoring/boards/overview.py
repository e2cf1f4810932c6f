"""The messenger's overview: ten panels, and the objectives as their thresholds.

Reading order: is the promise kept, does traffic flow, where does time go, what do
the machines say.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring.boards.model import Board, Override, Panel, Query, Row, Step, runbook
from monitoring.boards.parts import (
    MESSAGES,
    NODES,
    ONE,
    P95,
    ZERO,
    bound_s,
    firing,
    objective,
    quantiles,
    share,
    variables,
)
from monitoring.maths.burn import error_budget
from monitoring.maths.decimals import percent
from monitoring.promql import Matcher
from monitoring.rules import names
from monitoring.signals import messenger as signals
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Slo

UID = "messenger-overview"

_PROBES = Scope((Matcher("job", "=", signals.PROBE_JOB),))
_OWED, _SEEN = "owed, all", "p95 seen by the probe"


def board(slos: Sequence[Slo]) -> Board:
    """The board. Raises BoardError when an SLO it shows is not among the specs."""
    fanout, delivery, requests = (objective(slos, name, UID) for name in ("fanout-latency", "delivery", "requests"))
    return Board(
        uid=UID,
        title="Messenger overview",
        description="Whether the messenger keeps its promises, and where its time goes.",
        tags=("messenger", "slo"),
        variables=variables(signals.CONNECTIONS.name, signals.JOB),
        rows=(
            Row(6, (_budget(), _connections(), _alerts()), (12, 8, 4)),
            Row(8, (_deliveries(), _latency(fanout)), (12, 12)),
            Row(8, (_loss(delivery), _errors(requests), _internals()), (8, 8, 8)),
            Row(8, (_cpu(), _memory()), (12, 12)),
        ),
    )


def _connections() -> Panel:
    return Panel(
        key="overview/connections",
        title="Connections",
        description="WebSocket connections open now, per node, on one another. One node's share falls at once: look "
        "for NodeDown, its people come back to the others. All fall: people cannot connect; look at the objective of "
        "connects, then at what is before the nodes.",
        unit="short",
        queries=(Query(signals.CONNECTIONS.sum(NODES, by=("instance",)), "{{instance}}"),),
        minimum=ZERO,
        stacked=True,
        links=(runbook("connects"), runbook("node-down"), runbook("reconnect-storm")),
    )


def _deliveries() -> Panel:
    return Panel(
        key="overview/deliveries",
        title="Deliveries a second",
        description="Events handed to sockets, by what they are, and dashed how many were owed. Owed above the sum of "
        "the others: people are waiting; find the slow stage on the fan-out board. Both fall: nobody sends, or sends "
        "are refused; look at the error rate.",
        unit="ops",
        queries=(
            Query(signals.FANOUT_LATENCY.event_rate(NODES, by=("path",)), "{{path}}"),
            Query(signals.FANOUT_OWED.rate(NODES), _OWED),
        ),
        minimum=ZERO,
        overrides=(Override(_OWED, color="text", dashed=True),),
        links=(runbook("fanout-latency"),),
    )


def _latency(slo: Slo) -> Panel:
    bound = bound_s(slo)
    server = quantiles(signals.FANOUT_LATENCY, where=MESSAGES)
    probe = Query(signals.PROBE_LATENCY.quantile(P95, _PROBES), _SEEN, exemplars=True)
    return Panel(
        key="overview/fanout-latency",
        title="Fan-out p50, p95, p99",
        description=f"From receiving a message to the recipient's socket; {percent(slo.target)} shall stay below "
        f"{bound} s. Dashed is what the probe measures from the intended send to the other client: where it alone is "
        "high, look at the event loop or between the nodes and the people; where both are, at the fan-out board's "
        "stages. Quantiles only know what was delivered: for a stall look at owed against delivered.",
        unit="s",
        queries=(*server, probe),
        steps=(Step("green"), Step("red", bound)),
        minimum=ZERO,
        overrides=(Override(_SEEN, color="purple", dashed=True),),
        links=(runbook(slo.runbook), runbook("probe")),
    )


def _loss(slo: Slo) -> Panel:
    settled, confirmed = signals.DELIVERIES_SETTLED.rate(NODES), signals.DELIVERIES_CONFIRMED.rate(NODES)
    lost = signals.PROBE_CANARIES.rate(_PROBES, where={"outcome": "lost"})
    canaries = signals.PROBE_CANARIES.rate(_PROBES)
    return Panel(
        key="overview/delivery-loss",
        title="Delivery loss",
        description="Owed message deliveries that the device had not acknowledged after 30 s, and canaries that never "
        f"came; no more than {percent(error_budget(slo.target))} may be. Zero without traffic. Above it: look whether "
        "the nodes read the log to its end (LogLag) and whether devices are cut off as too slow.",
        unit="percentunit",
        queries=(
            Query(share(f"clamp_min({settled} - {confirmed}, 0)", settled), "not acknowledged"),
            Query(share(lost, canaries), "canaries lost"),
        ),
        steps=(Step("green"), Step("red", error_budget(slo.target))),
        minimum=ZERO,
        links=(runbook(slo.runbook), runbook("probe-canary-lost"), runbook("log-lag")),
    )


def _budget() -> Panel:
    return Panel(
        key="overview/error-budget",
        title="Error budget left",
        description="Share of each SLO's error budget that is left in its period; below zero the objective is missed. "
        "Orange: let only what mends it be deployed. Which window burns it shows the board of the objectives.",
        unit="percentunit",
        decimals=1,
        queries=(Query(names.BUDGET_REMAINING, "{{slo_id}}"),),
        kind="stat",
        steps=(Step("red"), Step("orange", ZERO), Step("green", Decimal("0.25"))),
        maximum=ONE,
    )


def _errors(slo: Slo) -> Panel:
    bad = signals.REQUESTS.rate(NODES, by=("transport",), where={"outcome": "server_error"})
    every = signals.REQUESTS.rate(NODES, by=("transport",))
    return Panel(
        key="overview/error-rate",
        title="Error rate",
        description="HTTP requests and socket commands that ended in a server error; no more than "
        f"{percent(error_budget(slo.target))} may. Zero without traffic. Above it: the nodes' log names each error; "
        "first see whether the database answers (p95 beside, DatabaseDisconnected).",
        unit="percentunit",
        queries=(Query(share(bad, every), "{{transport}}"),),
        steps=(Step("green"), Step("red", error_budget(slo.target))),
        minimum=ZERO,
        links=(runbook(slo.runbook), runbook("database-disconnected")),
    )


def _internals() -> Panel:
    parts = (
        ("database", signals.DATABASE_TIME),
        ("Redis", signals.REDIS_TIME),
        ("loop", signals.LOOP_LAG),
        ("GC", signals.GC_PAUSE),
    )
    return Panel(
        key="overview/internals",
        title="p95 in database, Redis, loop and GC",
        description="One database call, one Redis publish, one delay of the event loop, one garbage collection. "
        "Zero when there was none. What rises together with the fan-out is its cause: database, then look at "
        "PostgreSQL and the pool; Redis, then at the bus; loop or GC, then at that node's CPU.",
        unit="s",
        queries=tuple(Query(histogram.quantile_or_zero(P95, NODES), name) for name, histogram in parts),
        minimum=ZERO,
        links=(runbook("database-pool-exhausted"), runbook("bus-disconnected"), runbook("loop-lag")),
    )


def _cpu() -> Panel:
    return Panel(
        key="overview/cpu",
        title="CPU per node",
        description="Share of one core that each node's process uses. The event loop has one core: a node near 100 % "
        "is late with everything. One node alone: move people from it; all: add nodes.",
        unit="percentunit",
        queries=(Query(signals.CPU.rate(NODES, by=("instance",)), "{{instance}}"),),
        minimum=ZERO,
        links=(runbook("loop-lag"),),
    )


def _memory() -> Panel:
    return Panel(
        key="overview/memory",
        title="Memory per node",
        description="Resident memory of each node's process. It follows the connections; memory that grows while they "
        "do not is a leak or devices that read too slowly: drain that node and start it anew.",
        unit="bytes",
        queries=(Query(signals.MEMORY.sum(NODES, by=("instance",)), "{{instance}}"),),
        minimum=ZERO,
        links=(runbook("slow-consumers"),),
    )


def _alerts() -> Panel:
    return Panel(
        key="overview/alerts",
        title="Alerts firing",
        description="Alerts firing now, without the Watchdog, which always does; 0 is none. Each alert's page says "
        "what to do: the on-call board lists them.",
        unit="short",
        queries=(Query(f"count({firing()}) or vector(0)", "firing"),),
        kind="stat",
        steps=(Step("green"), Step("red", ONE)),
    )
