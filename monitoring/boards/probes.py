"""The messenger as somebody outside sees it, beside what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.boards.model import Board, Override, Panel, Query, Row, Step
from monitoring.boards.parts import (
    MESSAGES,
    NODES,
    ONE,
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
from monitoring.promql import Matcher
from monitoring.signals import messenger as signals
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Slo

UID = "messenger-probes"

_SERVER = Scope((Matcher("job", "=", signals.JOB),))
_GOOD, _BAD = "green", ("late", "lost", "duplicate", "reordered", "corrupted", "send_failed")
_COLORS = dict(zip(_BAD, ("yellow", "red", "purple", "blue", "dark-red", "orange"), strict=True))


def board(slos: Sequence[Slo]) -> Board:
    """The board. Raises BoardError when an SLO it shows is not among the specs."""
    fanout, probe, connects = (objective(slos, name, UID) for name in ("fanout-latency", "probe", "connects"))
    return Board(
        uid=UID,
        title="Messenger probes",
        description="What canaries and fresh connections see from outside, beside what the nodes say of themselves.",
        tags=("messenger",),
        variables=variables(signals.PROBE_HEARTBEAT.name, signals.PROBE_JOB),
        rows=(
            Row(5, (_ok(probe), _connect_ok(connects), _lost(), _alive()), (6, 6, 6, 6), title="Now"),
            Row(8, (_server(fanout), _outside(fanout)), (12, 12), title="The same 95 %, measured twice"),
            Row(8, (_outcomes(), _ways(), _heatmap()), (8, 8, 8), title="Canaries"),
            Row(7, (_connects(), _failures(), _phases()), (8, 8, 8), title="Connections"),
            Row(7, (_kinds(), _why(), _run_time()), (8, 8, 8), title="What else people do"),
            Row(7, (_skipped(), _own_faults(), _start_delay()), (8, 8, 8), title="The prober itself"),
        ),
    )


def _share_ok(key: str, title: str, description: str, expr: str, slo: Slo) -> Panel:
    return Panel(
        key=key,
        title=title,
        description=description,
        unit="percentunit",
        queries=(Query(expr, "good"),),
        kind="stat",
        steps=(Step("red"), Step("green", slo.target)),
        maximum=ONE,
    )


def _ok(slo: Slo) -> Panel:
    good = signals.PROBE_CANARIES.rate(NODES, where={"outcome": "delivered"})
    # A canary that is late, lost or double has an outcome of its own.
    expr = f"{good} / ({signals.PROBE_CANARIES.rate(NODES)} > 0)"
    return _share_ok(
        "probes/ok", "Canaries in time", "Canaries that came once, whole, in order and within 250 ms.", expr, slo
    )


def _connect_ok(slo: Slo) -> Panel:
    good = signals.PROBE_CONNECTS.rate(NODES, where={"outcome": "ok"})
    expr = f"{good} / ({signals.PROBE_CONNECTS.rate(NODES)} > 0)"
    text = "Fresh connections that were welcomed in time: name, TCP, TLS, handshake, sign-in."
    return _share_ok("probes/connect-ok", "Connects in time", text, expr, slo)


def _lost() -> Panel:
    return Panel(
        key="probes/lost",
        title="Canaries lost",
        description="Acknowledged canaries that never came, in the time range. One is a broken promise.",
        unit="short",
        queries=(
            Query(
                signals.PROBE_CANARIES.increase(Scope(NODES.matchers, "$__range"), where={"outcome": "lost"}), "lost"
            ),
        ),
        kind="stat",
        steps=red_from(ONE / 2),
        decimals=0,
    )


def _alive() -> Panel:
    age = f"time() - {signals.PROBE_HEARTBEAT.max(NODES)}"
    return Panel(
        key="probes/alive",
        title="Prober last ran",
        description="How long ago the prober last did anything; when it is silent, nothing else here means anything.",
        unit="s",
        queries=(Query(age, "ago"),),
        kind="stat",
        steps=(Step("green"), Step("orange", ONE * 30), Step("red", ONE * 60)),
        decimals=0,
    )


def _server(slo: Slo) -> Panel:
    queries = quantiles(signals.FANOUT_LATENCY, _SERVER, MESSAGES)
    return lines(
        "probes/server",
        "What the nodes say",
        "From receiving a message to handing it to the recipient's socket, over all nodes.",
        "s",
        *queries,
        steps=red_from(bound_s(slo)),
        books=(slo.runbook,),
    )


def _outside(slo: Slo) -> Panel:
    queries = [Query(signals.PROBE_LATENCY.quantile(q, NODES), name, exemplars=q == P95) for name, q in QUANTILES]
    return lines(
        "probes/outside",
        "What a client sees",
        "From the intended send to the arrival at the other client; each diamond is one canary with its id. Higher "
        "than beside: the event loop, the network or what is before the nodes.",
        "s",
        *queries,
        steps=red_from(bound_s(slo)),
        books=("probe", slo.runbook),
    )


def _outcomes() -> Panel:
    return lines(
        "probes/outcomes",
        "Canaries by how they ended",
        "delivered is good. late: after 250 ms. lost: acknowledged and not there after 30 s. duplicate, reordered, "
        "corrupted: broken promises. send_failed: it could not be sent, which people notice too.",
        "ops",
        Query(signals.PROBE_CANARIES.rate(NODES, ("outcome",)), "{{outcome}}"),
        stacked=True,
        overrides=(Override("delivered", color=_GOOD), *(Override(name, color=_COLORS[name]) for name in _BAD)),
        books=("probe", "probe-canary-lost"),
    )


def _ways() -> Panel:
    good = signals.PROBE_CANARIES.rate(NODES, ("source", "target"), {"outcome": "delivered"})
    bad = f"1 - {good} / ({signals.PROBE_CANARIES.rate(NODES, ('source', 'target'))} > 0)"
    return lines(
        "probes/ways",
        "Not in time, by the way they took",
        "From the node a canary was sent to, to the node it was waited for at. One node in all the bad ways: that "
        "node. All ways between two nodes and none within one: what carries messages between nodes.",
        "percentunit",
        Query(bad, "{{source}} → {{target}}"),
        maximum=ONE,
        books=("probe",),
    )


def _heatmap() -> Panel:
    return Panel(
        key="probes/heatmap",
        title="How many, how late",
        description="Canaries by how long they took.",
        unit="s",
        queries=(Query(signals.PROBE_LATENCY.buckets(NODES), "{{le}}"),),
        kind="heatmap",
    )


def _connects() -> Panel:
    return lines(
        "probes/connects",
        "Fresh connections",
        "A connection made afresh each time, up to the welcome.",
        "ops",
        Query(signals.PROBE_CONNECTS.rate(NODES, ("outcome",)), "{{outcome}}"),
        stacked=True,
        overrides=(Override("ok", color="green"), Override("failed", color="red")),
        books=("connects",),
    )


def _failures() -> Panel:
    return lines(
        "probes/failures",
        "Where connections failed",
        "dns, tcp and tls are before the nodes; upgrade, auth and refused are the nodes' words; timeout and close "
        "are a node that hangs or dies. All at zero is as it should be.",
        "ops",
        Query(signals.PROBE_CONNECT_FAILURES.rate(NODES, ("reason",)), "{{reason}}"),
        books=("connects", "certificate"),
    )


def _skipped() -> Panel:
    begun = signals.PROBE_START_DELAY.event_rate(NODES)
    runs = f"{begun} + {signals.PROBE_SKIPPED.rate(NODES)}"
    return lines(
        "probes/skipped",
        "Runs that could not start in time",
        "Share of the schedule the prober itself missed; then the machine it runs on is too busy to judge others.",
        "percentunit",
        Query(share(signals.PROBE_SKIPPED.rate(NODES), f"({runs})"), "skipped"),
        books=("probe-absent",),
    )


def _phases() -> Panel:
    return lines(
        "probes/phases",
        "Steps of a connection, p95",
        "A token over HTTP, the name, TCP, TLS, the handshake, the welcome: which of them is slow.",
        "s",
        Query(signals.PROBE_PHASES.quantile(P95, NODES, ("phase",)), "{{phase}}"),
        books=("connects",),
    )


def _kinds() -> Panel:
    failed = signals.PROBE_RUNS.rate(NODES, ("probe",), {"outcome": "failed"})
    return lines(
        "probes/kinds",
        "Runs that failed, by probe",
        "Share of the runs of each kind that failed: signing in, coming back, reading on another device, revoking, "
        "linking, keys, attachments, calls.",
        "percentunit",
        Query(share(failed, signals.PROBE_RUNS.rate(NODES, ("probe",))), "{{probe}}"),
        maximum=ONE,
        books=("probe-failing",),
    )


def _why() -> Panel:
    return lines(
        "probes/why",
        "Why they failed",
        "wrong is an answer that breaks a promise; the others are as for connections.",
        "ops",
        Query(signals.PROBE_FAILURES.rate(NODES, ("reason",)), "{{reason}}"),
        books=("probe-failing",),
    )


def _run_time() -> Panel:
    return lines(
        "probes/run-time",
        "What they took, p95",
        "Of runs that went well: from what a person does to what they see.",
        "s",
        Query(signals.PROBE_RUN_TIME.quantile(P95, NODES, ("probe",)), "{{probe}}"),
        books=("probe-failing",),
    )


def _own_faults() -> Panel:
    return lines(
        "probes/own-faults",
        "Runs that say nothing of the messenger",
        "starved: started too late to judge. resources: the machine ran out of something. limited: the messenger "
        "found that it asks too often. bug: a mistake in the prober. None of them counts in an objective.",
        "ops",
        Query(signals.PROBE_OWN_FAULTS.rate(NODES, ("reason",)), "{{reason}}"),
        books=("probe-absent",),
    )


def _start_delay() -> Panel:
    return lines(
        "probes/start-delay",
        "How late runs start",
        "From the moment the schedule meant to the start; beyond a quarter of a second a run is not made.",
        "s",
        *quantiles(signals.PROBE_START_DELAY, NODES),
        books=("probe-absent",),
    )
