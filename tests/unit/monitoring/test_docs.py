"""The pages a person needs at night exist, and say what the code does."""

from __future__ import annotations

import re

import pytest

from monitoring import config
from monitoring.rules import names
from monitoring.rules.model import Alert, Recording
from monitoring.spec.extensions import KEYS, TIER_NAMES
from tests.support.production import CONFIG, PLAN
from tests.support.repository import ROOT, RUNBOOKS

ALERTS = [rule for file in PLAN.rules for rule in file.rules() if isinstance(rule, Alert)]
SECTIONS = ["What it means", "What people feel", "Look", "Mend", "Escalate", "Over"]
PAGE = (ROOT / "docs/slos.md").read_text()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a.alert}-{a.labels.get('tier', '')}")
def test_every_alert_has_a_runbook_that_says_what_to_do(alert: Alert) -> None:
    name = alert.annotations["runbook_url"].removeprefix(CONFIG.file.links.runbooks)
    text = (RUNBOOKS / name).read_text()
    assert alert.alert in text
    assert re.findall("^## (.+)$", text, re.MULTILINE) == SECTIONS, name
    steps = re.search("^## Look\n(.+?)^## ", text, re.MULTILINE | re.DOTALL)
    assert steps and len(re.findall(r"^\d\. ", steps[1], re.MULTILINE)) >= 3, f"{name} has no three things to look at"


def test_every_runbook_belongs_to_an_alert_but_one_that_only_boards_lead_to() -> None:
    linked = {alert.annotations["runbook_url"].rsplit("/", 1)[-1] for alert in ALERTS}
    assert {page.name for page in RUNBOOKS.glob("*.md")} == linked | {"infrastructure.md"}


def test_every_board_that_is_linked_exists() -> None:
    boards = {path.stem for path in PLAN.files if path.suffix == ".json"}
    linked = {a.annotations["dashboard_url"].rsplit("/", 1)[-1] for a in ALERTS if "dashboard_url" in a.annotations}
    assert linked <= boards


def test_every_annotation_tier_and_recorded_series_is_documented() -> None:
    records = {rule.record for file in PLAN.rules for rule in file.rules() if isinstance(rule, Recording)}
    families = {re.sub(r"(increase|ratio_rate)\d.*", r"\1", record) for record in records}
    for word in (*KEYS, *TIER_NAMES, *families, names.BUDGET_REMAINING):
        assert f"`{word}" in PAGE, f"docs/slos.md does not explain {word}"


def test_every_slo_and_alert_is_documented() -> None:
    for alert in ALERTS:
        assert f"`{alert.alert}`" in PAGE, f"docs/slos.md does not list {alert.alert}"


def test_every_key_of_the_receivers_is_documented() -> None:
    for key in config.Receivers.__struct_fields__:
        assert f"`{key}`" in PAGE, f"docs/slos.md does not explain {key}"
