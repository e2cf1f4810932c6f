"""Objectives of every kind of SLI and every policy, over the traffic of tests/support/stories.py."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from monitoring.maths.durations import Duration
from monitoring.promql import Selector
from monitoring.spec.model import CompositeSli, EventSli, Part, Query, RatioSli, SampleSli, Service, Sli, Slices, Slo
from tests.support.stories import bad_of_total, good_of_total, increase


def slo(name: str, sli: Sli) -> Slo:
    """A 95 % objective with a direct alert and pages."""
    return Slo(
        name=name,
        display_name=name,
        description="",
        service=Service("shop", "Shop"),
        target=Decimal("0.95"),
        period=Duration.parse("30d"),
        sli=sli,
        runbook=name,
        dashboard=None,
        threshold_window=Duration.parse("2m"),
        min_bad_events=3,
        disabled_tiers=frozenset({"ticket-quick", "ticket-slow"}),
        file="spec.yaml",
        line=1,
    )


def sliced(name: str, sli: Sli, target: Decimal | None = None) -> Slo:
    """The same of slices of five minutes, of which the direct alert must see three."""
    slices = Slices(Duration.parse("5m"), target)
    return replace(slo(name, sli), slices=slices, threshold_window=Duration.parse("15m"))


SLOS = (slo("by-good", good_of_total()), slo("by-bad", bad_of_total()))
FAILED, ASKED = increase("requests_total", outcome="error"), increase("requests_total")
RATIO = RatioSli(Query(f"{FAILED.template} / {ASKED.template}", FAILED.selectors + ASKED.selectors))
UP = SampleSli("1 - avg(up)", (Selector("up"),))
BOTH = CompositeSli(
    (
        Part("came", Decimal(2), Decimal("0.9"), good_of_total()),
        Part("asked", Decimal("0.5"), Decimal("0.9"), bad_of_total()),
    )
)
KINDS = {
    "policies": (
        replace(slo("good", good_of_total()), no_traffic="good"),
        replace(slo("bad", good_of_total()), no_traffic="bad"),
        replace(slo("bad-too", bad_of_total()), no_traffic="bad"),
        replace(slo("bad-composite", BOTH), no_traffic="bad"),
        slo("more-bad-than-total", EventSli(total=increase("came_total"), bad=increase("owed_total"))),
    ),
    "kinds": (slo("ratio", RATIO), slo("sample", UP), slo("composite", BOTH)),
    "slices": (
        sliced("bad-slices", good_of_total(), Decimal("0.9")),
        replace(sliced("silent-is-good", bad_of_total()), no_traffic="good"),
        replace(sliced("silent-is-bad", bad_of_total()), no_traffic="bad"),
        sliced("sliced-sample", UP, Decimal("0.95")),
        sliced("sliced-ratio", RATIO),
        sliced("sliced-composite", BOTH),
    ),
}
