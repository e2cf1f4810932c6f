"""Where a message is on its way: the stages of fan-out, what is owed, and what waits."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.boards.model import Board, Override, Panel, Query, Row
from monitoring.boards.parts import (
    MESSAGES,
    NODES,
    P95,
    QUANTILES,
    bound_s,
    lines,
    objective,
    quantiles,
    red_from,
    share,
    variables,
)
from monitoring.signals import messenger as signals
from monitoring.spec.model import Slo

UID = "messenger-fanout"

_STAGES = (
    ("validate", "reading, checking and admitting what a client sent"),
    ("commit", "waiting for the batch and the database's commit"),
    ("publish", "telling the other nodes over Redis"),
    ("relay", "from the sender's node to this one"),
    ("write", "from the commit to the recipient's socket"),
)


def board(slos: Sequence[Slo]) -> Board:
    """The board. Raises BoardError when the SLO it shows is not among the specs."""
    slo = objective(slos, "fanout-latency", UID)
    return Board(
        uid=UID,
        title="Messenger fan-out",
        description="Which stage makes messages late, what is owed, and what waits.",
        tags=("messenger",),
        variables=variables(signals.CONNECTIONS.name, signals.JOB),
        rows=(
            Row(8, (_quantiles(slo), _heatmap()), (12, 12), title="Latency"),
            Row(7, (_stages(), _late(slo)), (16, 8)),
            Row(7, tuple(_stage(name, what) for name, what in _STAGES[:3]), (8, 8, 8), title="Stages"),
            Row(7, (*(_stage(name, what) for name, what in _STAGES[3:]), _errors()), (8, 8, 8)),
            Row(7, (_owed(), _waiting(), _slow()), (8, 8, 8), title="Owed and waiting"),
            Row(7, (_batches(), _bus(), _log()), (8, 8, 8), title="Commits, bus and log"),
        ),
    )


def _quantiles(slo: Slo) -> Panel:
    queries = quantiles(signals.FANOUT_LATENCY, where=MESSAGES)
    return lines(
        "fanout/latency",
        "Messages, receive to socket",
        "All stages together, for messages. Above the line: look below for the stage that grew with it.",
        "s",
        *queries,
        steps=red_from(bound_s(slo)),
        books=(slo.runbook,),
    )


def _heatmap() -> Panel:
    return Panel(
        key="fanout/heatmap",
        title="How many, how late",
        description="Deliveries of messages by how long they took. Two bands are two ways, such as local and over the "
        "bus; a band that climbs is a queue.",
        unit="s",
        queries=(Query(signals.FANOUT_LATENCY.buckets(NODES, MESSAGES), "{{le}}"),),
        kind="heatmap",
    )


def _stages() -> Panel:
    return lines(
        "fanout/stages",
        "p95 of each stage",
        "Messages only. The stage that is high is where to look; its own panel below has the other quantiles.",
        "s",
        Query(signals.FANOUT_STAGE.quantile(P95, NODES, ("stage",), MESSAGES), "{{stage}}"),
        books=("fanout-latency",),
    )


def _late(slo: Slo) -> Panel:
    late, all_ = signals.FANOUT_LATE.rate(NODES, where=MESSAGES), signals.FANOUT_OWED.rate(NODES, where=MESSAGES)
    return lines(
        "fanout/late",
        "Share that came late",
        f"Message deliveries that took longer than the objective's {bound_s(slo)} s, of those owed. Zero without "
        "traffic.",
        "percentunit",
        Query(share(late, all_), "late"),
        steps=red_from(1 - slo.target),
        books=(slo.runbook,),
    )


def _stage(name: str, what: str) -> Panel:
    where = {"stage": name} | MESSAGES
    queries = [Query(signals.FANOUT_STAGE.quantile_or_zero(q, NODES, where), label) for label, q in QUANTILES]
    book = {"commit": "database-pool-exhausted", "publish": "bus-losses", "relay": "clock-skew", "write": "loop-lag"}
    return lines(
        f"fanout/stage/{name}",
        f"Stage {name}",
        f"Messages: {what}. Zero where there was none.",
        "s",
        *queries,
        books=(book.get(name, "fanout-latency"),),
    )


def _errors() -> Panel:
    return lines(
        "fanout/errors",
        "Errors by stage",
        "Events a stage could not handle. commit: the sender was told. publish: the log brings them to the other "
        "nodes. write: the listener went away and catches up when it is back.",
        "ops",
        Query(signals.FANOUT_ERRORS.rate(NODES, ("stage",)), "{{stage}}"),
        books=("bus-losses", "requests"),
    )


def _owed() -> Panel:
    return lines(
        "fanout/owed",
        "Owed and handed over",
        "Deliveries of all kinds that are due, dashed, and those that were made. Apart: people are waiting.",
        "ops",
        Query(signals.FANOUT_LATENCY.event_rate(NODES), "made"),
        Query(signals.FANOUT_OWED.rate(NODES), "owed"),
        overrides=(Override("owed", color="text", dashed=True),),
        books=("delivery",),
    )


def _waiting() -> Panel:
    return lines(
        "fanout/waiting",
        "Waiting",
        "Messages waiting for a commit, and deliveries of large conversations that are given out in turns. A queue "
        "that only grows is a node past its limit.",
        "short",
        Query(signals.SEND_QUEUE.sum(NODES, ("instance",)), "commit {{instance}}"),
        Query(signals.FANOUT_WAITING.sum(NODES, ("instance",)), "rollout {{instance}}"),
        books=("fanout-latency",),
    )


def _slow() -> Panel:
    return lines(
        "fanout/slow",
        "Slow listeners",
        "Bytes that the kernel would not take yet. At its limit a connection is closed (4008) and catches up later; "
        "typing and presence are dropped before that.",
        "bytes",
        Query(signals.SEND_QUEUE_BYTES.sum(NODES, ("instance",)), "{{instance}}"),
        books=("slow-consumers",),
    )


def _batches() -> Panel:
    queries = quantiles(signals.COMMITTED)
    return lines(
        "fanout/batches",
        "Messages in a commit",
        "Sends that come close together share one database call. High is a busy node, and cheap.",
        "short",
        *queries,
        books=("database-pool-exhausted",),
    )


def _bus() -> Panel:
    return lines(
        "fanout/bus",
        "What the bus lost",
        "Frames that Redis did not carry, that could not be read, and events the log had to bring instead. Nothing is "
        "lost by it; each costs a fifth of a second.",
        "ops",
        Query(signals.BUS_DROPPED.rate(NODES), "not carried"),
        Query(signals.BUS_UNREADABLE.rate(NODES), "not readable"),
        Query(signals.FANOUT_RECOVERED.rate(NODES), "brought by the log"),
        Query(signals.FANOUT_GAPS.rate(NODES), "came before an earlier one"),
        books=("bus-losses", "bus-disconnected"),
    )


def _log() -> Panel:
    return lines(
        "fanout/log",
        "Behind the log",
        "Time since each node read the log of commits to its end; a fifth of a second is usual.",
        "s",
        Query(signals.LOG_LAG.max(NODES, ("instance",)), "{{instance}}"),
        books=("log-lag",),
    )
