"""What boards have in common: where they look, and forms of panels that come again."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring.boards.model import Link, Mapping, Override, Panel, Query, Step, Variable, runbook
from monitoring.errors import BoardError
from monitoring.promql import Matcher, Selector
from monitoring.signals.kinds import Histogram, Scope
from monitoring.spec.model import Slo

NODES = Scope((Matcher("job", "=~", "$job"), Matcher("instance", "=~", "$instance")))
"""The nodes that are chosen."""
ZERO, ONE = Decimal(0), Decimal(1)
P50, P95, P99 = Decimal("0.5"), Decimal("0.95"), Decimal("0.99")
QUANTILES = (("p50", P50), ("p95", P95), ("p99", P99))
MESSAGES = {"path": "message"}


def variables(metric: str, job: str) -> tuple[Variable, ...]:
    """Job and instance, as far as a metric is exported; `job` is chosen at first."""
    return (
        Variable("job", "Job", metric, "job", job),
        Variable("instance", "Instance", f'{metric}{{job=~"$job"}}', "instance"),
    )


def share(part: str, whole: str) -> str:
    """part ÷ whole; zero, and never NaN, when there is nothing."""
    return f"{part} / ({whole} > 0) or 0 * {whole}"


def red_from(value: Decimal) -> tuple[Step, ...]:
    """Green below a limit, red from it on."""
    return (Step("green"), Step("red", value))


def objective(slos: Sequence[Slo], name: str, board: str) -> Slo:
    """An SLO a board shows. Raises BoardError when no spec defines it."""
    found = next((slo for slo in slos if slo.name == name), None)
    if found is None:
        raise BoardError(f"the board {board} shows the SLO {name!r}, which no spec defines")
    return found


def bound_s(slo: Slo) -> Decimal:
    """The bucket within which an event of an SLO is good, in seconds. Raises BoardError without one."""
    bound = next((le for selector in slo.selectors if (le := selector.value_of("le"))), None)
    if bound is None:
        raise BoardError(f"the good events of {slo.name} are no bucket with a bound `le`")
    return Decimal(bound)


def lines(
    key: str,
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    books: Sequence[str] = (),
    steps: tuple[Step, ...] = (Step("green"),),
    maximum: Decimal | None = None,
    stacked: bool = False,
    overrides: tuple[Override, ...] = (),
) -> Panel:
    """Lines over time that begin at zero; `books` are the names of runbooks."""
    links: tuple[Link, ...] = tuple(map(runbook, books))
    return Panel(
        key, title, description, unit, queries, steps=steps, minimum=ZERO, maximum=maximum, stacked=stacked,
        overrides=overrides, links=links,
    )  # fmt: skip


def number(
    key: str,
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    steps: tuple[Step, ...] = (Step("green"),),
    books: Sequence[str] = (),
    decimals: int | None = None,
) -> Panel:
    """One figure, with its past behind it."""
    links: tuple[Link, ...] = tuple(map(runbook, books))
    return Panel(key, title, description, unit, (query,), kind="stat", steps=steps, decimals=decimals, links=links)


def used(key: str, title: str, description: str, query: Query, *, books: Sequence[str] = ()) -> Panel:
    """A share of something that has an end: orange from 80 %, red from 90 %."""
    return Panel(
        key,
        title,
        description,
        "percentunit",
        (query,),
        kind="gauge",
        steps=(Step("green"), Step("orange", Decimal("0.8")), Step("red", Decimal("0.9"))),
        minimum=ZERO,
        maximum=ONE,
        links=tuple(map(runbook, books)),
    )


def up(key: str, description: str, expr: str, *, books: Sequence[str] = ()) -> Panel:
    """When something could be reached."""
    return Panel(
        key,
        "Reached",
        description,
        "short",
        (Query(expr, "{{instance}}"),),
        kind="state-timeline",
        mappings=(Mapping(ZERO, "down", "red"), Mapping(ONE, "up", "green")),
        links=tuple(map(runbook, books)),
    )


def quantiles(histogram: Histogram, scope: Scope = NODES, where: dict[str, str] | None = None) -> list[Query]:
    """p50, p95 and p99 of a histogram, one line each."""
    return [Query(histogram.quantile(q, scope, where=where or {}), name) for name, q in QUANTILES]


MEANT = Matcher("severity", "!=", "none")
"""Alerts that mean something: not the Watchdog, which always fires, and no drill."""


def firing(matchers: tuple[Matcher, ...] = ()) -> Selector:
    """The alerts that fire, without the Watchdog and drills."""
    return Selector("ALERTS", (Matcher("alertstate", "=", "firing"), MEANT, *matchers))
