"""The alerts of every messenger SLO are proven by promtool; and a proof of broken rules fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitoring.errors import MissingProgramError
from monitoring.maths.durations import Duration
from monitoring.oracle.data import ABSENT, IMPLAUSIBLE, STALE
from monitoring.proofs import command, promtool
from monitoring.proofs.cases import OUTAGE, PARTIAL
from monitoring.proofs.plan import Proof, proofs
from monitoring.rules.profile import Profile
from monitoring.spec.extensions import TIER_NAMES
from monitoring.spec.model import Slo
from monitoring.spec.reader import load
from tests.support import monitoringconfig, slospecs
from tests.support.binaries import require
from tests.support.objectives import KINDS
from tests.support.repository import SLOS

PROFILE = Profile(Duration(15), Duration(15), 1, "https://runbooks.test/", "https://boards.test/")
MESSENGER = load([SLOS])
TELLING = ("no traffic, then some, then none", "flapping faster than the short window")
DATA = {ABSENT, STALE, IMPLAUSIBLE}
TICKETS = frozenset({"ticket-quick", "ticket-slow"})


@pytest.mark.parametrize("slo", MESSENGER, ids=lambda slo: slo.name)
def test_every_alert_of_the_messenger_fires_and_resets_when_predicted(slo: Slo) -> None:
    require("promtool")
    for outcome in command.run(proofs(slo, PROFILE)):
        assert outcome.proven, outcome.output
        predicted = {case.name: case.timelines for case in outcome.proof.cases}
        for name in (OUTAGE, PARTIAL):
            assert {told for told, timeline in predicted[name].items() if not timeline.resets_ms} <= DATA


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_sli_and_policy_can_be_proven(kinds: tuple[Slo, ...]) -> None:
    """The stories in which they differ."""
    plans = [proof for slo in kinds for proof in proofs(slo, PROFILE)]
    short = [replace(one, cases=tuple(case for case in one.cases if case.name in TELLING)) for one in plans]
    for outcome in command.run(short):
        assert outcome.proven, outcome.output


def broken(rules: str, how: Callable[[str], str]) -> str:
    """The rules with one thing changed, which must be there."""
    changed = how(rules)
    assert changed != rules
    return changed


def instead(old: str, new: str) -> Callable[[str], str]:
    """Another window in the comparison of a ratio with a threshold."""
    return lambda rules: re.sub(rf'(ratio_rate){old}(\{{slo_id="checkout"\}} >)', rf"\g<1>{new}\2", rules)


TRICKLE, LONE, ROW = (
    "healthy, and a steady trickle of errors inside the budget",
    "one failure at low traffic",
    "3 failures",
)
GONE = "the series end"
MUTATIONS: dict[str, tuple[Callable[[str], str], str]] = {
    "a threshold twice as high": (lambda rules: rules.replace("> 0.0144", "> 0.0288"), PARTIAL),
    "a threshold one percent lower": (lambda rules: rules.replace("> 0.0144", "> 0.01425"), PARTIAL),
    "a threshold inside the budget": (lambda rules: rules.replace("> 0.006", "> 0.001"), TRICKLE),
    "no guard": (lambda rules: rules.replace("0.001) >= 3", "0.001) >= 0"), LONE),
    "a guard of one more": (lambda rules: rules.replace("0.001) >= 3", "0.001) >= 4"), ROW),
    "the long window for the short one": (instead("4s", "48s"), PARTIAL),
    "the long window of another tier": (instead("48s", "4m48s"), PARTIAL),
    "data that is not missed": (
        lambda rules: rules.replace("unless on (slo_id) present", "and on (slo_id) present"),
        GONE,
    ),
    "a severity": (lambda rules: rules.replace("severity: page", "severity: ticket"), PARTIAL),
    "an alert that is never true": (lambda rules: rules.replace("> 0.0144", "> 0.0144 and vector(0) > 1"), PARTIAL),
}
"""What is broken, and the story that must tell it."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """The pages of a small SLO, whose unbroken rules are proven by the stories that are told of broken ones."""
    slo = replace(slospecs.slo(tmp_path_factory.mktemp("spec")), threshold_window=None, disabled_tiers=TICKETS)
    (proof,) = proofs(slo, PROFILE)
    told = tuple({story for _, story in MUTATIONS.values()})
    proof = replace(proof, cases=tuple(case for case in proof.cases if case.name.startswith(told)))
    (right,) = command.run([proof])
    assert right.proven, right.output
    return proof


def outcome(proof: Proof, folder: Path, how: Callable[[str], str]) -> tuple[int, str]:
    for name, content in proof.files().items():
        text = content.decode()
        (folder / name).write_text(how(text) if name.endswith(".rules.yml") else text)
    done = promtool.run(folder / f"{proof.name}.test.yml")
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("how", "story"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_proof_of_broken_rules_fails(checkout: Proof, tmp_path: Path, how: Callable[[str], str], story: str) -> None:
    alone = replace(checkout, cases=tuple(case for case in checkout.cases if case.name.startswith(story)))
    status, output = outcome(alone, tmp_path, lambda rules: broken(rules, how))
    assert status == 1
    assert "expr:" in output, "it must fail for an alert, not for a rule that does not load"


class TestTheCommand:
    """`python -m monitoring proofs`."""

    def test_it_tells_each_tier_and_its_times(self, tmp_path: Path) -> None:
        config = monitoringconfig.write(tmp_path)
        spec = tmp_path / "specs/spec.yaml"
        spec.write_text(
            spec.read_text().replace(
                "monitoring/threshold-window: 2m", "monitoring/disabled-tiers: ticket-quick,ticket-slow"
            )
        )
        done = CliRunner().invoke(command.proofs, ["--config", str(config), "checkout"])
        assert done.exit_code == 0, done.output
        assert "slo-checkout.hours: proven: 12 stories" in done.output
        assert re.search(r"page-quick +fires 2s after its begin, resets 4s after its end +total outage", done.output)
        assert re.search(r"page-slow +silent +one failure at low traffic", done.output)

    def test_an_slo_that_cannot_be_proven_is_an_error(self, tmp_path: Path) -> None:
        config = monitoringconfig.write(tmp_path)
        spec = tmp_path / "specs/spec.yaml"
        spec.write_text(
            spec.read_text().replace(
                "monitoring/threshold-window: 2m", f"monitoring/disabled-tiers: {','.join(TIER_NAMES)}"
            )
        )
        done = CliRunner().invoke(command.proofs, ["--config", str(config)])
        assert done.exit_code == 1
        assert "checkout: unprovable: it has no alert to prove" in done.output

    def test_a_name_that_no_slo_has_is_told(self, tmp_path: Path) -> None:
        done = CliRunner().invoke(command.proofs, ["--config", str(monitoringconfig.write(tmp_path)), "chekout"])
        assert "no SLO is named chekout; there are checkout" in str(done.exception)

    def test_a_missing_promtool_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(MissingProgramError, match="Debian: the package prometheus"):
            promtool.run(tmp_path / "test.yml")
