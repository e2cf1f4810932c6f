"""The boards that every service gets: its objectives, what is left of their budgets, what burns them.

First all objectives together, from recorded series that a variable chooses from; then a
row for each, whose thresholds are those of its spec and of its alerts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from monitoring.boards.model import Board, Override, Panel, Query, Row, Step, Variable, runbook
from monitoring.maths.burn import error_budget
from monitoring.maths.decimals import percent, plain
from monitoring.promql import Matcher, Selector
from monitoring.rules import names
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import Burn, burns, threshold_window
from monitoring.spec.model import Service, Slo

_ZERO, _ONE = Decimal(0), Decimal(1)
_BUDGET_STEPS = (Step("red"), Step("orange", _ZERO), Step("green", Decimal("0.25")))

MAX_SERVICE_CHARS = 31
"""Of a service's name in a uid, which Grafana limits to 40 characters: "-slos-999" comes behind it."""

ROWS_EACH = 30
"""Objectives on one board; a service with more gets further boards. Grafana asks for every open row at each refresh."""


def uid(service_id: str) -> str:
    """The first board's uid."""
    return f"{service_id}-slos"


def boards(service: Service, service_id: str, slos: Sequence[Slo], profile: Profile) -> Iterator[Board]:
    """The boards of one service with its SLOs; `service_id` is its name as a file and a uid can have it.

    Raises SpecError for an SLO with an alert that could never fire.
    """
    for i, start in enumerate(range(0, len(slos), ROWS_EACH)):
        rows = tuple(_objective(slo, profile) for slo in slos[start : start + ROWS_EACH])
        if i == 0:
            yield _board(service, service_id, uid(service_id), f"{service.display_name}: objectives", rows, whole=True)
        else:
            title = f"{service.display_name}: objectives, {i + 1}"
            yield _board(service, service_id, f"{uid(service_id)}-{i + 1}", title, rows, whole=False)


def _board(service: Service, service_id: str, uid_: str, title: str, rows: tuple[Row, ...], *, whole: bool) -> Board:
    mine = (Matcher("service", "=", service.name),)
    return Board(
        uid=uid_,
        title=title,
        description="Whether each objective is met, how much of its error budget is left, and what burns it.",
        tags=("slo", service_id),
        rows=(*(_together((*mine, Matcher("slo_id", "=~", "$slo"))) if whole else ()), *rows),
        variables=(Variable("slo", "SLO", str(Selector(names.OBJECTIVE, mine)), "slo_id"),) if whole else (),
    )


def _together(chosen: tuple[Matcher, ...]) -> tuple[Row, ...]:
    return (
        Row(6, (_left(chosen), _firing(chosen)), (20, 4)),
        Row(8, (_events(chosen), _alerts(chosen), _coverage(chosen)), (8, 8, 8)),
    )


def _objective(slo: Slo, profile: Profile) -> Row:
    panels = (_attained(slo), _budget(slo), _burn(slo, profile))
    return Row(7, panels, (4, 8, 12), title=f"{slo.display_name} ({slo.name})")


def _attained(slo: Slo) -> Panel:
    objective = percent(slo.target)
    left = names.of(names.BUDGET_REMAINING, slo.name)
    return Panel(
        key=f"slos/{slo.name}/attained",
        title=f"Attained, of {objective}",
        description=f"{_sentence(slo)}Share of good {_events_of(slo)} in the period of {slo.period} so far. Red, below "
        f"{objective}: the promise is broken in this period; let only what mends it be deployed.",
        unit="percentunit",
        queries=(Query(f"1 - (1 - {left}) * {plain(error_budget(slo.target))}", "attained"),),
        kind="stat",
        steps=(Step("red"), Step("green", slo.target)),
        decimals=_digits(slo.target) + 2,
        links=(runbook(slo.runbook),),
    )


def _budget(slo: Slo) -> Panel:
    return Panel(
        key=f"slos/{slo.name}/budget",
        title="Error budget left",
        description="How the budget was spent; a straight line down to zero at the period's end is the allowed pace. A "
        "step down is an incident, a steady slope something that is always a little broken. Below zero the objective "
        "is missed.",
        unit="percentunit",
        queries=(Query(names.of(names.BUDGET_REMAINING, slo.name), "left"),),
        steps=_BUDGET_STEPS,
        maximum=_ONE,
        links=(runbook(slo.runbook),),
    )


def _burn(slo: Slo, profile: Profile) -> Panel:
    alerts = burns(slo)
    budget = plain(error_budget(slo.target))
    # Without traffic nothing burns; the budget is there as long as the SLO is measured at all.
    none = f"0 * {names.of(names.BUDGET_REMAINING, slo.name)}"
    shorts = {profile.window(burn.short) for burn in alerts}
    direct = [profile.window(window) for window in (threshold_window(slo),) if window is not None]
    windows = sorted({*shorts, *(profile.window(burn.long) for burn in alerts), *direct})
    return Panel(
        key=f"slos/{slo.name}/burn",
        title="Burn rate, by window",
        description=_told(alerts, profile, direct),
        unit="none",
        queries=tuple(
            Query(f"{names.of(names.errors_ratio(window), slo.name)} / {budget} or {none}", str(window))
            for window in windows
        )
        or (Query(f"{names.of(names.PERIOD_RATIO, slo.name)} / {budget}", "period"),),
        steps=_burn_steps(alerts),
        minimum=_ZERO,
        overrides=tuple(Override(str(window), dashed=True) for window in windows if window in shorts),
        links=(runbook(slo.runbook),),
    )


def _told(alerts: Sequence[Burn], profile: Profile, direct: Sequence[object]) -> str:
    each = [
        f"{burn.name} ({burn.severity}) above {plain(burn.factor)} over {profile.window(burn.long)} and "
        f"{profile.window(burn.short)}"
        for burn in alerts
    ]
    each += [f"the direct alert (page) above 1 over {window}" for window in direct]
    fires = f"Fires: {'; '.join(each)}. " if each else "No alert watches it. "
    return (
        "How many times as fast as allowed the budget burns; at 1 it lasts exactly for the period. Dashed are the "
        f"short windows, which tell that it still goes on. {fires}Without traffic nothing burns."
    )


def _burn_steps(alerts: Sequence[Burn]) -> tuple[Step, ...]:
    """A colour from each alert's factor on: orange for tickets, red from the first that pages."""
    steps = [Step("green")]
    for factor in sorted({burn.factor for burn in alerts}):
        pages = any(burn.severity == "page" and burn.factor <= factor for burn in alerts)
        steps.append(Step("red" if pages else "orange", factor))
    return tuple(steps)


def _sentence(slo: Slo) -> str:
    text = slo.description.strip()
    return f"{text}{'' if text.endswith('.') else '.'} " if text else ""


def _events_of(slo: Slo) -> str:
    return "slices of time" if slo.slices else "events"


def _digits(target: Decimal) -> int:
    """Behind the point of the target as a percentage."""
    exponent = (target * 100).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


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
        decimals=1,
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
        overrides=(Override(".* bad", dashed=True, pattern=True),),
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
        links=(runbook("data-stale"), runbook("data-absent")),
    )
