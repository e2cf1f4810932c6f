"""What a person reads when an alert arrives: whole sentences, and figures on the environment's own scale."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from monitoring.maths.durations import Duration
from monitoring.rules.build import slo_file
from monitoring.rules.model import Alert
from monitoring.rules.profile import Profile
from monitoring.spec.model import Condition, Slo
from tests.support import slospecs

PRODUCTION = Profile(Duration(15), Duration(15), 1, "https://docs.test/", "https://boards.test/")
SCALED = Profile(Duration(1), Duration(1), 30, "https://docs.test/", "https://boards.test/")
DAY_S = 86400


def alert(slo: Slo, tier: str, profile: Profile = PRODUCTION) -> Alert:
    found = [rule for rule in slo_file(slo, profile).rules() if isinstance(rule, Alert)]
    return next(one for one in found if one.labels["tier"] == tier)


def without_templates(text: str) -> str:
    """The text where no query has an answer, so that nothing between `range` and `end` is written."""
    while "{{ range" in text:
        before, _, rest = text.partition("{{ range")
        text = before + rest.partition("{{ end }}")[2]
    return text


@pytest.mark.parametrize("written", ["Orders go through", "Orders go through."])
@pytest.mark.parametrize("tier", ["page-quick", "threshold"])
def test_a_description_is_whole_sentences(tmp_path: Path, tier: str, written: str) -> None:
    slo = slospecs.slo(tmp_path, "description: Orders go through.", f"description: {written}")
    text = without_templates(alert(slo, tier).annotations["description"])
    assert text.endswith("Objective: Orders go through.")


def test_without_a_description_nothing_trails(tmp_path: Path) -> None:
    slo = slospecs.slo(tmp_path, "  description: Orders go through.\n", "")
    assert without_templates(alert(slo, "page-quick").annotations["description"]).endswith(" %.")


@pytest.mark.parametrize(("profile", "length_s"), [(PRODUCTION, 30 * DAY_S), (SCALED, DAY_S)])
def test_when_the_budget_is_gone_is_told_on_the_scale_of_the_environment(
    tmp_path: Path, profile: Profile, length_s: int
) -> None:
    text = alert(slospecs.slo(tmp_path), "page-quick", profile).annotations["description"]
    assert f' * {length_s} * 0.001 / slo:errors:ratio_rate{profile.window(Duration(3600))}{{slo_id="checkout"}}' in text


def test_what_a_condition_says_comes_first_and_is_no_template(tmp_path: Path) -> None:
    condition = Condition(
        "burning", "page", Decimal(10), Duration(3600), Duration(300), description="Look at {{ .Labels.node }}"
    )
    slo = replace(slospecs.slo(tmp_path), conditions=(condition,))
    text = alert(slo, "burning").annotations["description"]
    assert text.startswith('Look at {{ "{{" }} .Labels.node }}. {{ $value | humanizePercentage }} of all events')


@pytest.mark.parametrize(
    ("tier", "words"),
    [
        ("page-quick", "Checkout: the error budget burns more than 14.4 times as fast as it may (page-quick)"),
        ("ticket-slow", "Checkout: the error budget burns faster than it may (ticket-slow)"),
    ],
)
def test_the_summary_says_how_fast(tmp_path: Path, tier: str, words: str) -> None:
    assert alert(slospecs.slo(tmp_path), tier).annotations["summary"] == words
