"""The messenger's overview: ten panels, and the objectives as their thresholds.

Reading order: is the promise kept, does traffic flow, where does time go, what do
the machines say.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring.boards.model import Board, Panel, Query, Row, Step, Variable
from monitoring.errors import BoardError
from monitoring.maths.burn import error_budget
from monitoring.maths.decimals import percent
from monitoring.promql import Matcher, Selector
from monitoring.rules import names
from monitoring.signals import messenger as signals
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Slo

UID = "messenger-overview"

_NODES = Scope((Matcher("job", "=~", "$job"), Matcher("instance", "=~", "$instance")))
_PROBES = Scope((Matcher("job", "=", signals.PROBE_JOB),))
_MESSAGES = {"path": "message"}
_P95 = Decimal("0.95")
_ZERO = Decimal(0)
_ONE = Decimal(1)


def board(slos: Sequence[Slo]) -> Board:
    """The board. Raises BoardError when an SLO it shows is not among the specs."""
    by_name = {slo.name: slo for slo in slos}
    try:
        fanout, delivery, requests = (by_name[name] for name in ("fanout-latency", "delivery", "requests"))
    except KeyError as error:
        raise BoardError(f"the board {UID} shows the SLO {error}, which no spec defines") from error
    return Board(
        uid=UID,
        title="Messenger overview",
        description="Whether the messenger keeps its promises, and where its time goes.",
        tags=("messenger", "slo"),
        variables=(
            Variable("job", "Job", signals.CONNECTIONS.name, "job", signals.JOB),
            Variable("instance", "Instance", f'{signals.CONNECTIONS.name}{{job=~"$job"}}', "instance"),
        ),
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
        description="WebSocket connections open now, per node.",
        unit="short",
        queries=(Query(signals.CONNECTIONS.sum(_NODES, by=("instance",)), "{{instance}}"),),
        minimum=_ZERO,
        stacked=True,
    )


def _deliveries() -> Panel:
    return Panel(
        key="overview/deliveries",
        title="Deliveries a second",
        description="Events handed to sockets, by what they are, and how many were owed. "
        "Owed above delivered means people are waiting.",
        unit="ops",
        queries=(
            Query(signals.FANOUT_LATENCY.event_rate(_NODES, by=("path",)), "{{path}}"),
            Query(signals.FANOUT_OWED.rate(_NODES), "owed, all"),
        ),
        minimum=_ZERO,
    )


def _latency(slo: Slo) -> Panel:
    bound = next((le for selector in slo.selectors if (le := selector.value_of("le"))), None)
    if bound is None:
        raise BoardError(f"the board {UID} wants the good events of {slo.name} to be a bucket with a bound `le`")
    quantiles = (("p50", Decimal("0.5")), ("p95", _P95), ("p99", Decimal("0.99")))
    server = (Query(signals.FANOUT_LATENCY.quantile(q, _NODES, where=_MESSAGES), name) for name, q in quantiles)
    probe = Query(signals.PROBE_LATENCY.quantile(_P95, _PROBES), "p95 seen by the probe")
    return Panel(
        key="overview/fanout-latency",
        title="Fan-out p50, p95, p99",
        description=f"From receiving a message to the recipient's socket; {percent(slo.target)} shall stay below "
        f"{bound} s. The probe measures from the intended send to the other client, so loop lag shows there and not "
        "in the server's. Quantiles only know what was delivered: for a stall look at owed against delivered.",
        unit="s",
        queries=(*server, probe),
        steps=(Step("green"), Step("red", Decimal(bound))),
        minimum=_ZERO,
    )


def _loss(slo: Slo) -> Panel:
    settled, confirmed = signals.DELIVERIES_SETTLED.rate(_NODES), signals.DELIVERIES_CONFIRMED.rate(_NODES)
    lost = signals.PROBE_CANARIES.rate(_PROBES, where={"outcome": "lost"})
    canaries = signals.PROBE_CANARIES.rate(_PROBES)
    return Panel(
        key="overview/delivery-loss",
        title="Delivery loss",
        description="Owed message deliveries that the device had not acknowledged after 30 s, and canaries that never "
        f"came; no more than {percent(error_budget(slo.target))} may be. Zero without traffic.",
        unit="percentunit",
        queries=(
            Query(_share(f"clamp_min({settled} - {confirmed}, 0)", settled), "not acknowledged"),
            Query(_share(lost, canaries), "canaries lost"),
        ),
        steps=(Step("green"), Step("red", error_budget(slo.target))),
        minimum=_ZERO,
    )


def _budget() -> Panel:
    return Panel(
        key="overview/error-budget",
        title="Error budget left",
        description="Share of each SLO's error budget that is left in its period; below zero the objective is missed.",
        unit="percentunit",
        queries=(Query(names.BUDGET_REMAINING, "{{slo_id}}"),),
        kind="stat",
        steps=(Step("red"), Step("orange", _ZERO), Step("green", Decimal("0.25"))),
        maximum=_ONE,
    )


def _errors(slo: Slo) -> Panel:
    bad = signals.REQUESTS.rate(_NODES, by=("transport",), where={"outcome": "server_error"})
    every = signals.REQUESTS.rate(_NODES, by=("transport",))
    return Panel(
        key="overview/error-rate",
        title="Error rate",
        description="HTTP requests and socket commands that ended in a server error; no more than "
        f"{percent(error_budget(slo.target))} may. Zero without traffic.",
        unit="percentunit",
        queries=(Query(_share(bad, every), "{{transport}}"),),
        steps=(Step("green"), Step("red", error_budget(slo.target))),
        minimum=_ZERO,
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
        "Zero when there was none.",
        unit="s",
        queries=tuple(Query(histogram.quantile_or_zero(_P95, _NODES), name) for name, histogram in parts),
        minimum=_ZERO,
    )


def _cpu() -> Panel:
    return Panel(
        key="overview/cpu",
        title="CPU per node",
        description="Share of one core that each node's process uses; the event loop has one core.",
        unit="percentunit",
        queries=(Query(signals.CPU.rate(_NODES, by=("instance",)), "{{instance}}"),),
        minimum=_ZERO,
    )


def _memory() -> Panel:
    return Panel(
        key="overview/memory",
        title="Memory per node",
        description="Resident memory of each node's process.",
        unit="bytes",
        queries=(Query(signals.MEMORY.sum(_NODES, by=("instance",)), "{{instance}}"),),
        minimum=_ZERO,
    )


def _alerts() -> Panel:
    firing = Selector("ALERTS", (Matcher("alertstate", "=", "firing"), Matcher("alertname", "!=", "Watchdog")))
    return Panel(
        key="overview/alerts",
        title="Alerts firing",
        description="Alerts firing now, without the Watchdog, which always does.",
        unit="short",
        queries=(Query(f"count({firing}) or vector(0)", "firing"),),
        kind="stat",
        steps=(Step("green"), Step("red", _ONE)),
    )


def _share(part: str, whole: str) -> str:
    """part ÷ whole; zero, and never NaN, when there is nothing."""
    return f"{part} / ({whole} > 0) or 0 * {whole}"
