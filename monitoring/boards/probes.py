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
            Row(8, (_outcomes(), _heatmap()), (12, 12), title="Canaries"),
            Row(7, (_connects(), _failures(), _skipped()), (8, 8, 8), title="Connections, and the prober itself"),
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
        "probes/ok", "Canaries in time", "Canaries that came once, whole, in order and within a second.", expr, slo
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
        "delivered is good. late: after a second. lost: acknowledged and not there after 30 s. duplicate, reordered, "
        "corrupted: broken promises. send_failed: it could not be sent, which people notice too.",
        "ops",
        Query(signals.PROBE_CANARIES.rate(NODES, ("outcome",)), "{{outcome}}"),
        stacked=True,
        overrides=(Override("delivered", color=_GOOD), *(Override(name, color=_COLORS[name]) for name in _BAD)),
        books=("probe", "probe-canary-lost"),
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
        "dns, tcp and tls are before the nodes; upgrade and auth are the nodes' refusals; timeout and close are a "
        "node that hangs or dies. All at zero is as it should be.",
        "ops",
        Query(signals.PROBE_CONNECT_FAILURES.rate(NODES, ("reason",)), "{{reason}}"),
        books=("connects", "certificate"),
    )


def _skipped() -> Panel:
    runs = f"{signals.PROBE_CANARIES.rate(NODES)} + {signals.PROBE_SKIPPED.rate(NODES)}"
    return lines(
        "probes/skipped",
        "Runs that could not start in time",
        "Share of the schedule the prober itself missed; then the machine it runs on is too busy to judge others.",
        "percentunit",
        Query(share(signals.PROBE_SKIPPED.rate(NODES), f"({runs})"), "skipped"),
        books=("probe-absent",),
    )
