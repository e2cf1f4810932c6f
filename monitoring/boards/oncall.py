"""The way of an alert to a person: what fires, what was told, and whether the chain itself is whole."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring.boards.model import Board, Mapping, Panel, Query, Row, Step, runbook
from monitoring.boards.parts import (
    MEANT,
    NODES,
    ONE,
    P95,
    ZERO,
    bound_s,
    firing,
    lines,
    objective,
    red_from,
    share,
    variables,
)
from monitoring.promql import Matcher, Selector
from monitoring.signals import messenger, oncall
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Slo

UID = "messenger-oncall"

_CHAIN = Scope(
    (Matcher("job", "=~", "|".join((oncall.PROMETHEUS_JOB, oncall.ALERTMANAGER_JOB, oncall.JOB, messenger.PROBE_JOB))),)
)
_PROMETHEUS = Scope((Matcher("job", "=", oncall.PROMETHEUS_JOB),))
_PROBES = Scope((Matcher("job", "=", messenger.PROBE_JOB),))
_DRILLS = {"probe": "alerts"}
_ALERTMANAGER = Scope((Matcher("job", "=", oncall.ALERTMANAGER_JOB),))


def board(slos: Sequence[Slo]) -> Board:
    """The board. Raises BoardError when the SLO it shows is not among the specs."""
    slo = objective(slos, "alert-pipeline", UID)
    return Board(
        uid=UID,
        title="Messenger on call",
        description="What fires, who was told and how soon, and whether the way there is whole.",
        tags=("messenger",),
        variables=variables(oncall.FIRING.name, oncall.JOB),
        rows=(
            Row(5, (_firing(), _heard(), _watchdog(), _delay_now(slo)), (6, 6, 6, 6), title="Now"),
            Row(8, (_table(), _history()), (12, 12), title="Alerts"),
            Row(8, (_drills(slo), _drills_ended(), _delay(slo), _calls()), (6, 6, 6, 6), title="Told to people"),
            Row(8, (_up(), _rules(), _sent()), (8, 8, 8), title="The chain itself"),
        ),
    )


def _firing() -> Panel:
    return Panel(
        key="oncall/firing",
        title="Alerts firing",
        description="As Prometheus sees it; the Watchdog, which always fires, and drills are left out.",
        unit="short",
        queries=(Query(f"count({firing()}) or vector(0)", "firing"),),
        kind="stat",
        steps=red_from(ONE),
        links=(runbook("alert-pipeline"),),
    )


def _heard() -> Panel:
    return Panel(
        key="oncall/heard",
        title="Firing, as on call has heard",
        description="Alerts whose last word at on call was firing. It may differ for a minute; longer, and "
        "notifications do not arrive.",
        unit="short",
        queries=(Query(oncall.FIRING.max(NODES), "heard"),),
        kind="stat",
        steps=red_from(ONE),
    )


def _watchdog() -> Panel:
    return Panel(
        key="oncall/watchdog",
        title="Watchdog last heard",
        description="An alert that always fires comes about once a minute; silence means that no other would come "
        "either.",
        unit="s",
        queries=(Query(f"time() - {oncall.WATCHDOG.max(NODES)}", "ago"),),
        kind="stat",
        steps=(Step("green"), Step("orange", Decimal(180)), Step("red", Decimal(300))),
        decimals=0,
        links=(runbook("watchdog"),),
    )


def _delay_now(slo: Slo) -> Panel:
    return Panel(
        key="oncall/delay-now",
        title="Pages, p95 of the delay",
        description=f"From when a page began to fire to its receipt, over the time range; the objective is "
        f"{bound_s(slo)} s. Nothing: no page came.",
        unit="s",
        queries=(
            Query(oncall.DELAY.quantile(P95, Scope(NODES.matchers, "$__range"), where={"severity": "page"}), "p95"),
        ),
        kind="stat",
        steps=red_from(bound_s(slo)),
        links=(runbook(slo.runbook),),
    )


def _table() -> Panel:
    by = ("alertname", "severity", "service", "slo_id")
    return Panel(
        key="oncall/table",
        title="Firing now",
        description="Every alert that fires, by name and severity; empty is good.",
        unit="short",
        queries=(Query(f"sum by ({', '.join(by)}) ({firing()})", "Alerts"),),
        kind="table",
        columns=by,
        steps=(Step("green"), Step("red", ONE)),
    )


def _history() -> Panel:
    alerts = Selector("ALERTS", (MEANT,))
    return Panel(
        key="oncall/history",
        title="When it fired",
        description="Each alert's pending and firing times; the Watchdog and drills are left out.",
        unit="short",
        queries=(
            Query(
                f"max by (alertname) (({firing()}) * 2) or max by (alertname) ({alerts})",
                "{{alertname}}",
            ),
        ),
        kind="state-timeline",
        mappings=(Mapping(ONE, "pending", "orange"), Mapping(ONE * 2, "firing", "red")),
        steps=(Step("green"),),
    )


def _drills(slo: Slo) -> Panel:
    told = messenger.PROBE_RUN_TIME.quantile(P95, Scope(_PROBES.matchers, "1h"), ("instance",), _DRILLS)
    return lines(
        "oncall/drills",
        "Drills, p95 of an hour",
        f"From a fault that a prober makes up until on call has told of it; the objective is {bound_s(slo)} s.",
        "s",
        Query(told, "{{instance}}"),
        steps=red_from(bound_s(slo)),
        books=(slo.runbook,),
    )


def _drills_ended() -> Panel:
    return lines(
        "oncall/drills-ended",
        "Drills by how they ended",
        "In the hour before. failed: it was not told in time, or its end was not.",
        "short",
        Query(messenger.PROBE_RUNS.increase(Scope(_PROBES.matchers, "1h"), ("outcome",), _DRILLS), "{{outcome}}"),
        books=("alert-pipeline",),
    )


def _delay(slo: Slo) -> Panel:
    return lines(
        "oncall/delay",
        "Delay by severity, p95 of an hour",
        "From when an alert began to fire to its receipt. Tickets wait while a page of the same objective fires.",
        "s",
        Query(oncall.DELAY.quantile(P95, Scope(NODES.matchers, "1h"), ("severity",)), "{{severity}}"),
        steps=red_from(bound_s(slo)),
        books=(slo.runbook,),
    )


def _calls() -> Panel:
    return lines(
        "oncall/calls",
        "Webhook calls by result",
        "stored is good. unauthenticated: Alertmanager's token is wrong. invalid: it speaks another version. "
        "store_failed: on call's disk.",
        "ops",
        Query(oncall.NOTIFICATIONS.rate(NODES, ("result",)), "{{result}}"),
        books=("alert-pipeline",),
    )


def _up() -> Panel:
    return Panel(
        key="oncall/up",
        title="Who is up",
        description="Prometheus, Alertmanager and on call, as Prometheus reaches them.",
        unit="short",
        queries=(Query(messenger.UP.max(_CHAIN, ("job",)), "{{job}}"),),
        kind="state-timeline",
        mappings=(Mapping(ZERO, "down", "red"), Mapping(ONE, "up", "green")),
        links=(runbook("alert-pipeline"), runbook("probe-absent")),
    )


def _rules() -> Panel:
    failed, every = oncall.PROMETHEUS_FAILURES.rate(_PROMETHEUS), oncall.PROMETHEUS_EVALUATIONS.rate(_PROMETHEUS)
    return lines(
        "oncall/rules",
        "Rules that fail",
        "Share of rule evaluations that failed, and of notifications to Alertmanager that were dropped. Anything above "
        "zero is alerts that cannot fire.",
        "percentunit",
        Query(share(failed, every), "evaluations failed"),
        Query(share(oncall.PROMETHEUS_DROPPED.rate(_PROMETHEUS), every), "notifications dropped"),
        steps=red_from(Decimal("0.01")),
        books=("data-absent",),
    )


def _sent() -> Panel:
    return lines(
        "oncall/sent",
        "What Alertmanager sent",
        "Notifications by way, and those that failed on their way.",
        "ops",
        Query(oncall.ALERTMANAGER_SENT.rate(_ALERTMANAGER), "sent"),
        Query(oncall.ALERTMANAGER_FAILED.rate(_ALERTMANAGER), "failed"),
        books=("alert-pipeline",),
    )
