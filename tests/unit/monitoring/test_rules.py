"""From an SLO to rules: thresholds exact, tiers possible, windows long enough."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors import OutOfRangeError, SpecError
from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.promql import uses
from monitoring.rules.build import slo_file
from monitoring.rules.model import Alert, Recording
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns, without_impossible
from monitoring.spec.model import Slo
from monitoring.spec.reader import load
from tests.support import slospecs
from tests.support.repository import SLOS

DELIVERY = next(slo for slo in load([SLOS]) if slo.name == "delivery")
PRODUCTION = Profile(Duration(15), Duration(15), 1, "https://docs.test/", "https://boards.test/")


def scaled(divisor: int, scrape_s: int = 5) -> Profile:
    return Profile(Duration(scrape_s), Duration(scrape_s), divisor, "https://docs.test/", "https://boards.test/")


def test_an_slo_has_one_alert_a_tier_and_the_direct_one(tmp_path: Path) -> None:
    alerts = [rule for rule in slo_file(slospecs.slo(tmp_path), PRODUCTION).rules() if isinstance(rule, Alert)]
    assert [(a.alert, a.labels["severity"], a.labels["kind"], a.labels.get("tier")) for a in alerts] == [
        ("CheckoutThreshold", "page", "threshold", "threshold"),
        ("CheckoutBudgetBurn", "page", "burnrate", "page-quick"),
        ("CheckoutBudgetBurn", "page", "burnrate", "page-slow"),
        ("CheckoutBudgetBurn", "ticket", "burnrate", "ticket-quick"),
        ("CheckoutBudgetBurn", "ticket", "burnrate", "ticket-slow"),
    ]
    for alert in alerts:
        assert alert.labels["slo_id"] == "checkout"
        assert alert.labels["service"] == "shop"
        assert {"summary", "description", "runbook_url"} <= alert.annotations.keys()
        assert alert.annotations["runbook_url"] == "https://docs.test/checkout.md"


def test_thresholds_are_exact_decimals(tmp_path: Path) -> None:
    alerts = [rule for rule in slo_file(slospecs.slo(tmp_path), PRODUCTION).rules() if isinstance(rule, Alert)]
    assert [re.findall(r"> (\S+)", a.expr) for a in alerts] == [
        ["0.001"],
        ["0.0144", "0.0144"],
        ["0.006", "0.006"],
        ["0.003", "0.003"],
        ["0.001", "0.001"],
    ]


@given(st.decimals(min_value="0.94", max_value="0.999999", places=6))
def test_no_rule_of_any_target_shows_a_floats_rounding(target: Decimal) -> None:
    for rule in slo_file(replace(DELIVERY, target=target), PRODUCTION).rules():
        assert not re.search(r"\d\.\d{13,}", rule.expr)


def test_every_rule_parses_and_reads_only_what_is_recorded_before_or_scraped(tmp_path: Path) -> None:
    file = slo_file(slospecs.slo(tmp_path), PRODUCTION)
    recorded = {rule.record for rule in file.rules() if isinstance(rule, Recording)}
    for rule in file.rules():
        for use in uses(rule.expr):
            assert use.selector.name in recorded | {"orders_total"}
            if use.selector.name == "orders_total":
                assert use.function == "increase"


def test_no_series_is_recorded_twice_on_any_scale(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    for divisor in range(1, 7):
        records = [r.record for r in slo_file(slo, scaled(divisor)).rules() if isinstance(r, Recording)]
        assert len(records) == len(set(records)), divisor


def test_a_scaled_profile_divides_windows_and_keeps_thresholds(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    full, quarter = (
        [r.expr for r in slo_file(slo, p).rules() if isinstance(r, Alert) and r.labels.get("tier") == "page-quick"]
        for p in (PRODUCTION, scaled(4))
    )
    assert quarter == [
        full[0].replace("rate1h", "rate15m").replace("rate5m", "rate1m15s").replace("increase1h", "increase15m")
    ]


def test_the_time_until_exhaustion_is_told_on_the_profiles_scale(tmp_path: Path) -> None:
    """As the gate does: a period of 30d ÷ 4 lasts 7.5 days."""
    slo = slospecs.slo(tmp_path)
    for divisor, length_s in ((1, 2_592_000), (4, 648_000)):
        alerts = [rule for rule in slo_file(slo, scaled(divisor)).rules() if isinstance(rule, Alert)]
        assert all(f" * {length_s} * 0.001 / " in alert.annotations["description"] for alert in alerts)


def test_a_window_of_fewer_than_four_scrapes_is_refused(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path)
    slo_file(slo, scaled(6))
    with pytest.raises(OutOfRangeError, match=r"2m ÷ 7 = 18s holds fewer than 4 scrapes \(5s apart\)"):
        slo_file(slo, scaled(7))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("target: 0.999", "target: 0.93", r"page-quick: it can never fire at a target of 0\.93.*above 0\.9306"),
    ],
)
def test_an_impossible_tier_is_refused_with_the_reason_and_the_way_out(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    slo = slospecs.slo(tmp_path, old, new)
    with pytest.raises(SpecError, match=words) as refused:
        slo_file(slo, PRODUCTION)
    assert "monitoring/disabled-tiers" in str(refused.value)
    assert str(refused.value).startswith(f"{slo.file}:{slo.line}: ")


OBJECTIVE = "budgetingMethod: Occurrences\n  objectives:\n    - target: 0.999"
OF_SLICES = """\
budgetingMethod: Timeslices
  objectives:
    - target: 0.999
      timeSliceTarget: 0.9
      timeSliceWindow: """


def of_slices(folder: Path, length: str, annotation: str) -> Slo:
    """An SLO of slices so long, with one annotation of ours or none."""
    text = slospecs.changed(OBJECTIVE, OF_SLICES + length)
    text = text.replace("monitoring/threshold-window: 2m", annotation or "other/key: none")
    return load([slospecs.write(folder, slospecs.SERVICE, text)])[0]


@pytest.mark.parametrize(
    ("length", "annotation", "words"),
    [
        (
            "1m",
            "monitoring/min-bad-events: 61",
            "page-quick: it can never fire, since 1h hold fewer than 61",
        ),
        (
            "1m",
            "monitoring/threshold-window: 2m",
            "threshold-window: it can never fire, since 2m hold",
        ),
        ("1m", "monitoring/threshold-window: 30d", "threshold-window: 30d do not fit the period of 30d"),
    ],
)
def test_a_guard_that_no_window_can_meet_is_refused(tmp_path: Path, length: str, annotation: str, words: str) -> None:
    slo = of_slices(tmp_path, length, annotation)
    with pytest.raises(SpecError, match=words):
        slo_file(slo, PRODUCTION)
    kept, warnings = without_impossible(slo)
    assert any(words in warning.message for warning in warnings)
    slo_file(kept, PRODUCTION)


def test_a_tier_shorter_than_a_slice_is_left_out(tmp_path: Path) -> None:
    assert [burn.name for burn in burns(of_slices(tmp_path, "2h", ""))] == ["page-slow", "ticket-quick", "ticket-slow"]


@pytest.mark.parametrize(("length", "least"), [("1m", 3), ("20m", 3), ("30m", 2), ("1h", 1)])
def test_unless_said_the_guard_asks_for_no_more_slices_than_an_hour_has(
    tmp_path: Path, length: str, least: int
) -> None:
    slo = of_slices(tmp_path, length, "")
    assert slo.min_bad_events == least
    slo_file(slo, PRODUCTION)


@pytest.mark.parametrize(
    ("period", "factors"),
    [
        ("30d", {"page-quick": "14.4", "page-slow": "6", "ticket-quick": "3", "ticket-slow": "1"}),
        ("28d", {"page-quick": "13.44", "page-slow": "5.6", "ticket-quick": "2.8", "ticket-slow": "1"}),
        ("7d", {"page-quick": "3.36", "page-slow": "1.4", "ticket-quick": "1", "ticket-slow": "1"}),
        ("1d", {"page-quick": "1", "page-slow": "1"}),
    ],
)
def test_burn_rates_follow_the_period_and_never_alert_inside_the_budget(
    tmp_path: Path, period: str, factors: dict[str, str]
) -> None:
    """Others' 28-day slow ticket has a factor of 0.9333: it tells people of a budget that will last."""
    slo = slospecs.slo(tmp_path, "duration: 30d", f"duration: {period}")
    assert {burn.name: plain(burn.factor) for burn in burns(slo)} == factors


def test_tiers_can_be_switched_off_and_what_they_shared_stays_recorded(tmp_path: Path) -> None:
    off = 'monitoring/disabled-tiers: "page-slow, ticket-quick"'
    file = slo_file(slospecs.slo(tmp_path, "monitoring/threshold-window: 2m", off), PRODUCTION)
    tiers = {rule.labels["tier"] for rule in file.rules() if isinstance(rule, Alert)}
    records = {rule.record for rule in file.rules() if isinstance(rule, Recording)}
    assert tiers == {"page-quick", "ticket-slow"}
    assert "slo:errors:ratio_rate6h" in records
    assert "slo:errors:ratio_rate1d" not in records


def test_the_guard_is_the_specs(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path, "monitoring/threshold-window: 2m", "monitoring/min-bad-events: 10")
    alerts = [rule for rule in slo_file(slo, PRODUCTION).rules() if isinstance(rule, Alert)]
    assert alerts
    assert all(alert.expr.endswith(">= 10") for alert in alerts)
