"""Burn rates and durations: the figures of the SRE Workbook, and what must hold for any."""

from __future__ import annotations

import doctest
import importlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors import OutOfRangeError
from monitoring.maths import burn
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration

MONTH_S = 30 * 86400
PURE_MODULES = (
    "maths.burn",
    "maths.decimals",
    "maths.durations",
    "dollars",
    "checks.jsonlines",
    "lint.patterns",
    "lint.wrapped",
    "yamltree",
)

shares = st.decimals(min_value="0.001", max_value="1", places=3)
targets = st.decimals(min_value="0.001", max_value="0.9999", places=4)


@pytest.mark.parametrize("module", PURE_MODULES)
def test_examples_in_docstrings_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"monitoring.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("share", "window_h", "factor", "threshold"),
    [("0.02", 1, "14.4", "0.0144"), ("0.05", 6, "6", "0.006"), ("0.10", 24, "3", "0.003"), ("0.10", 72, "1", "0.001")],
)
def test_the_workbooks_table_for_three_nines(share: str, window_h: int, factor: str, threshold: str) -> None:
    found = burn.burn_factor(Decimal(share), window_h * 3600, MONTH_S)
    assert plain(found) == factor
    assert plain(burn.error_threshold(found, Decimal("0.999"))) == threshold


def test_the_workbooks_reset_of_58_minutes() -> None:
    """A lone 1h window at burn rate 36 takes 58 minutes to reset; the short window is there to mend that."""
    reset_s = burn.time_to_reset_s(Decimal(36), Decimal("0.999"), 3600, Decimal(1))
    assert round(reset_s / 60) == 58


@pytest.mark.parametrize(
    ("factor", "below", "above"),
    [("14.4", "0.9305", "0.9306"), ("6", "0.8333", "0.8334"), ("3", "0.6666", "0.6667"), ("2", "0.5", "0.5001")],
)
def test_a_tier_is_impossible_at_one_minus_one_over_its_factor(factor: str, below: str, above: str) -> None:
    assert not burn.can_fire(Decimal(factor), Decimal(below))
    assert burn.can_fire(Decimal(factor), Decimal(above))


@given(shares, targets)
def test_a_total_outage_is_detected_exactly_when_the_tier_can_fire(share: Decimal, target: Decimal) -> None:
    factor = burn.burn_factor(share, 3600, MONTH_S)
    detected = burn.time_to_detect_s(factor, target, 3600, Decimal(1))
    assert (detected is not None) == burn.can_fire(factor, target)
    assert detected is None or 0 < detected < 3600


@given(targets, st.decimals(min_value="0.0001", max_value="1", places=4))
def test_worse_outages_are_detected_sooner_and_reset_later(target: Decimal, ratio: Decimal) -> None:
    factor = Decimal("14.4")
    mild, total = (burn.time_to_detect_s(factor, target, 3600, r) for r in (ratio, Decimal(1)))
    assert mild is None or (total is not None and total <= mild)
    assert burn.time_to_reset_s(factor, target, 300, ratio) <= burn.time_to_reset_s(factor, target, 300, Decimal(1))


@pytest.mark.parametrize(
    ("share", "window_s"), [("0", 3600), ("1.01", 3600), ("0.02", 0), ("0.02", MONTH_S + 1), ("-1", 3600)]
)
def test_nonsense_is_refused(share: str, window_s: int) -> None:
    with pytest.raises(OutOfRangeError):
        burn.burn_factor(Decimal(share), window_s, MONTH_S)


@pytest.mark.parametrize("target", ["0", "1", "1.5", "-0.1"])
def test_a_target_without_budget_is_refused(target: str) -> None:
    with pytest.raises(OutOfRangeError):
        burn.error_budget(Decimal(target))


@given(st.integers(min_value=1, max_value=10**8))
def test_durations_survive_being_written_and_read(seconds: int) -> None:
    assert Duration.parse(str(Duration(seconds))) == seconds


@given(st.integers(min_value=1, max_value=10**7), st.integers(min_value=1, max_value=1000))
def test_scaling_never_shortens_below_the_exact_quotient(seconds: int, divisor: int) -> None:
    scaled = Duration(seconds).divided(divisor)
    assert 0 <= scaled * divisor - seconds < divisor


@pytest.mark.parametrize("text", ["", "0s", "5", "m5", "1.5h", "5m5h", "30days", "-5m", "5 m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(OutOfRangeError):
        Duration.parse(text)


@given(st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, allow_infinity=False))
def test_decimals_are_written_exactly_and_without_exponent(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value.normalize()
    assert "E" not in text.upper()
