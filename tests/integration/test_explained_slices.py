"""Where time is counted the guard waits for bad slices: what `explain` says of it is what the rules do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.explain.tables import explain
from monitoring.maths.durations import Duration
from monitoring.rules.build import slo_file
from monitoring.spec.model import Slices
from tests.support import slospecs
from tests.support.proofs import PROFILE, SCRAPE_S, Expected, counter, firing, prove

HEALTHY = 60
"""Scrapes before the outage."""


@pytest.mark.parametrize(("slice_s", "detect_s"), [(600, 450), (80, 60)])
def test_a_total_outage_pages_when_three_slices_are_bad(tmp_path: Path, slice_s: int, detect_s: int) -> None:
    """Slices of 10 minutes and of 80 s, on a profile four times as fast: three of them are 450 s and 60 s."""
    slo = replace(slospecs.slo(tmp_path), slices=Slices(Duration(slice_s), Decimal("0.9")), threshold_window=None)
    page = explain(slo, PROFILE, Duration(30)).detection("page-quick", Decimal(1))
    assert page.detect_s == detect_s
    series = {
        'orders_total{outcome="ok"}': counter((HEALTHY, 10), (200, 0)),
        'orders_total{outcome="failed"}': counter((HEALTHY, 0), (200, 10)),
    }
    groups = [group for group in slo_file(slo, PROFILE).groups if group.name.endswith("/quick")]
    quick = firing("CheckoutBudgetBurn", tier="page-quick")
    begin = HEALTHY * SCRAPE_S
    tolerance = 4 * SCRAPE_S  # a slice is bad once a tenth of its events are, and rules see the scrape before
    prove(
        tmp_path,
        groups,
        series,
        [
            Expected(begin + detect_s - tolerance, quick, 0),
            Expected(begin + detect_s + slice_s // PROFILE.divisor // 10 + tolerance, quick, 1),
        ],
    )


def test_a_failure_too_small_for_the_guard_never_pages(tmp_path: Path) -> None:
    """Three slices of 10 minutes in an hour are half of it: 20 % of the time is left to the slower tiers."""
    slo = replace(slospecs.slo(tmp_path), slices=Slices(Duration(600), Decimal("0.9")), threshold_window=None)
    one = explain(slo, PROFILE, Duration(30))
    assert one.detection("page-quick", Decimal("0.2")).detect_s is None
    assert one.detection("page-slow", Decimal("0.2")).detect_s == 2250
    assert one.blind.outage_s == 450
    assert one.blind.never == Decimal(450) / 5400
