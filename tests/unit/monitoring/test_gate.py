"""The gate's verdict: what opens it, what closes it, and the numbers it gives."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.gate.verdict import Reading, Verdict, judge, status, text
from monitoring.maths.durations import Duration
from tests.support import slospecs

MONTH, HOUR = Duration.parse("30d"), Duration.parse("1h")


def verdict(folder: Path, reading: Reading, least: str = "0") -> Verdict:
    return judge(slospecs.slo(folder), reading, Decimal(least), MONTH)


@pytest.mark.parametrize(
    ("remaining", "least", "outcome"),
    [
        (0.5, "0", "passed"),
        (1e-6, "0", "passed"),
        (0.0, "0", "spent"),
        (1 - 0.9999999999999999, "0", "spent"),
        (-3.0, "0", "spent"),
        (0.1, "0.1", "passed"),
        (0.0999, "0.1", "spent"),
        (1.0, "1", "passed"),
        (float("nan"), "0", "no data"),
        (None, "0", "no data"),
    ],
)
def test_what_opens_and_closes_it(tmp_path: Path, remaining: float | None, least: str, outcome: str) -> None:
    assert verdict(tmp_path, Reading(remaining, 0.0, 0.0), least).outcome == outcome


def test_the_numbers(tmp_path: Path) -> None:
    """A burn of twice the pace leaves half the budget for a quarter of the period."""
    told = verdict(tmp_path, Reading(0.5, 0.0005, 0.002))
    assert (told.attainment, told.burn_rate, told.exhaustion_s) == (Decimal("0.9995"), Decimal(2), 30 * 86400 // 4)
    assert text(told, HOUR) == (
        "checkout: passed: 50 % of the error budget remains; attainment 99.95 % of 99.9 % over 30d; "
        "burn rate 2 over 1h; gone in 7d12h at this rate"
    )


def test_no_traffic_burns_nothing(tmp_path: Path) -> None:
    told = verdict(tmp_path, Reading(1.0, None, None))
    assert (told.outcome, told.attainment, told.burn_rate, told.exhaustion_s) == ("passed", None, None, None)
    assert "attainment no traffic" in text(told, HOUR)


def test_a_spent_budget_outweighs_missing_data(tmp_path: Path) -> None:
    passed, spent, missing = (verdict(tmp_path, Reading(x, 0, 0)) for x in (1.0, 0.0, None))
    assert status([passed, passed], False) == 0
    assert status([passed, spent, missing], True) == 1
    assert status([passed, missing], False) == 3
    assert status([passed, missing], True) == 0
