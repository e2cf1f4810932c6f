"""The board that every service gets: its objectives, what is left of their budgets, what burns them.

It shows recorded series only, so the same board serves a service with one SLO and one
with a thousand: a variable chooses.
"""

from __future__ import annotations

from decimal import Decimal

from monitoring.boards.model import Board, Panel, Query, Row, Step, Variable
from monitoring.promql import Matcher, Selector
from monitoring.rules import names
from monitoring.spec.model import Service

_ZERO, _ONE = Decimal(0), Decimal(1)
_BUDGET_STEPS = (Step("red"), Step("orange", _ZERO), Step("green", Decimal("0.25")))


MAX_SERVICE_CHARS = 35
"""Of a service's name in a uid, which Grafana limits to 40 characters."""


def uid(service_id: str) -> str:
    """The board's uid."""
    return f"{service_id}-slos"


def board(service: Service, service_id: str) -> Board:
    """The board of one service; `service_id` is its name as a file and a uid can have it."""
    mine = (Matcher("service", "=", service.name),)
    chosen = (*mine, Matcher("slo_id", "=~", "$slo"))
    return Board(
        uid=uid(service_id),
        title=f"{service.display_name}: objectives",
        description="Whether each objective is met, how much of its error budget is left, and what burns it.",
        tags=("slo", service_id),
        rows=(
            Row(6, (_left(chosen), _attained(chosen), _firing(chosen)), (10, 10, 4)),
            Row(9, (_budget(chosen), _errors(chosen)), (12, 12)),
            Row(8, (_events(chosen), _alerts(chosen), _coverage(chosen)), (8, 8, 8)),
        ),
        variables=(Variable("slo", "SLO", str(Selector(names.OBJECTIVE, mine)), "slo_id"),),
    )


def _left(chosen: tuple[Matcher, ...]) -> Panel:
    return Panel(
        key="slos/left",
        title="Error budget left",
        description="Share of the error budget that is left in the SLO's period; below zero the objective is missed.",
        unit="percentunit",
        queries=(Query(str(Selector(names.BUDGET_REMAINING, chosen)), "{{slo_id}}"),),
        kind="stat",
        steps=_BUDGET_STEPS,
        maximum=_ONE,
    )


def _attained(chosen: tuple[Matcher, ...]) -> Panel:
    objective = Selector(names.OBJECTIVE, chosen)
    spent = f"(1 - {Selector(names.BUDGET_REMAINING, chosen)}) * (1 - {objective})"
    return Panel(
        key="slos/attained",
        title="Attained, and the objective",
        description="Share of good events in the SLO's period so far, beside the share that was promised.",
        unit="percentunit",
        queries=(Query(f"1 - {spent}", "{{slo_id}}"), Query(str(objective), "{{slo_id}} objective")),
        kind="stat",
    )


def _firing(chosen: tuple[Matcher, ...]) -> Panel:
    firing = Selector("ALERTS", (*chosen, Matcher("alertstate", "=", "firing")))
    return Panel(
        key="slos/firing",
        title="Alerts firing",
        description="Alerts of these objectives that fire now.",
        unit="short",
        queries=(Query(f"count({firing}) or vector(0)", "firing"),),
        kind="stat",
        steps=(Step("green"), Step("red", _ONE)),
    )


def _budget(chosen: tuple[Matcher, ...]) -> Panel:
    return Panel(
        key="slos/budget",
        title="Error budget over time",
        description="How the budget was spent; a straight line down to zero at the period's end is the allowed pace.",
        unit="percentunit",
        queries=(Query(str(Selector(names.BUDGET_REMAINING, chosen)), "{{slo_id}}"),),
        steps=_BUDGET_STEPS,
        maximum=_ONE,
    )


def _errors(chosen: tuple[Matcher, ...]) -> Panel:
    ratios = Selector("", (Matcher("__name__", "=~", "slo:errors:ratio_rate.+"), *chosen))
    return Panel(
        key="slos/errors",
        title="Share of bad events, by window",
        description="What the burn-rate alerts compare with their thresholds: the share of bad events in each window.",
        unit="percentunit",
        queries=(Query(str(ratios), "{{slo_id}} {{__name__}}"),),
        minimum=_ZERO,
    )


def _events(chosen: tuple[Matcher, ...]) -> Panel:
    return Panel(
        key="slos/events",
        title="Events in the last slice",
        description="All events and bad ones in each slice of time, from which the period is added up.",
        unit="short",
        queries=(
            Query(str(Selector(names.SLICE_EVENTS, chosen)), "{{slo_id}} all"),
            Query(str(Selector(names.SLICE_ERRORS, chosen)), "{{slo_id}} bad"),
        ),
        minimum=_ZERO,
    )


def _alerts(chosen: tuple[Matcher, ...]) -> Panel:
    alerts = Selector("ALERTS", chosen)
    return Panel(
        key="slos/alerts",
        title="Alerts over time",
        description="Which alerts were pending or firing when; nothing is nothing.",
        unit="short",
        queries=(Query(f"count by (slo_id, tier, alertstate) ({alerts})", "{{slo_id}} {{tier}} {{alertstate}}"),),
        minimum=_ZERO,
        stacked=True,
    )


def _coverage(chosen: tuple[Matcher, ...]) -> Panel:
    newest = f"timestamp({Selector(names.SLICE_EVENTS, chosen)})"
    # The range asks at whole minutes only, which a Prometheus that has just started has not seen yet.
    seen = f"{newest} or max_over_time({newest}[1h:1m])"
    return Panel(
        key="slos/coverage",
        title="Age of the newest slice",
        description="How long ago each SLO was last measured; more than three slices are a gap in the budget. "
        "Nothing is more than an hour.",
        unit="s",
        queries=(Query(f"time() - max by (slo_id) ({seen})", "{{slo_id}}"),),
        minimum=_ZERO,
    )
