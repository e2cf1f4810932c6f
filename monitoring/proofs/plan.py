"""The proofs of an SLO as files: scaled rules, and promtool tests that say what they must do.

Every alert is told by its labels (slo_id, service, tier or kind, severity). At each change
of its state the evaluation before and the evaluation itself are asked for, and over the
whole story the number of evaluations at which it fires: so no alert fires in between unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from monitoring.errors import OpaqueError
from monitoring.generatedyaml import dump, made_from
from monitoring.oracle.data import ABSENT, IMPLAUSIBLE, STALE
from monitoring.oracle.simulate import THRESHOLD, Condition, Timeline
from monitoring.promql import Matcher, Selector
from monitoring.proofs.cases import Case, cases
from monitoring.proofs.promtool import Expected, UnitTest, unit_tests
from monitoring.proofs.scale import Scale, scales
from monitoring.proofs.stimulus import find
from monitoring.rules import data
from monitoring.rules.build import slo_file
from monitoring.rules.model import RuleFile
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo

_MOST_INTERVALS = 3
"""Of one alert in one story; the count of evaluations stands for the rest."""


@dataclass(frozen=True)
class Proof:
    """One scale of an SLO: its rules, and its stories with what is predicted of each."""

    slo: Slo
    scale: Scale
    rules: RuleFile
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """What its two files are called, without suffixes."""
        return f"slo-{self.slo.name}.{self.scale.name}"

    def files(self) -> dict[str, bytes]:
        """NAME.rules.yml and NAME.test.yml."""
        header = made_from(Path(self.slo.file).name)
        rules, test = f"{self.name}.rules.yml", f"{self.name}.test.yml"
        order = [group.name for group in self.rules.groups]
        tests = unit_tests(
            [rules], self.scale.profile.evaluation_interval, order, (self._test(case) for case in self.cases)
        )
        return {rules: dump(self.rules.to_yaml(), header), test: dump(tests, header, self._about())}

    def _about(self) -> str:
        profile = self.scale.profile
        return (
            f"Windows ÷ {profile.divisor}, a scrape every {profile.scrape_interval}, "
            f"an evaluation every {profile.evaluation_interval}."
        )

    def _test(self, case: Case) -> UnitTest:
        traffic = {str(one): values for one, values in case.traffic.items()}
        expected = [one for timeline in case.timelines.values() for one in _expected(self.slo, case, timeline)]
        return UnitTest(case.name, self.scale.profile.scrape_interval, traffic, expected)


def proofs(slo: Slo, profile: Profile, *, full: bool = False) -> tuple[Proof, ...]:
    """The proofs of an SLO. Raises OpaqueError with the reason for one that cannot be proven.

    Only the links of `profile` are used; each scale has its own rhythm. `full`: windows as they are.
    """
    stimulus = find(slo)
    return tuple(Proof(slo, scale, _rules(scale), cases(scale, stimulus)) for scale in scales(slo, profile, full=full))


def _rules(scale: Scale) -> RuleFile:
    rules = slo_file(scale.slo, scale.profile)
    if not scale.has_data_alerts:
        return rules
    return replace(rules, groups=(*rules.groups, *data.rule_file([scale.slo], scale.profile).groups))


def proof_files(slo: Slo, profile: Profile) -> dict[str, bytes]:
    """Everything that belongs into the folder `proofs`, by name.

    For an SLO that cannot be proven a file that says why: it must not look proven.
    """
    try:
        return {name: content for proof in proofs(slo, profile) for name, content in proof.files().items()}
    except OpaqueError as error:
        return {f"slo-{slo.name}.unprovable.txt": f"{slo.name} cannot be proven: {error}\n".encode()}


def firing(slo: Slo, condition: Condition) -> Selector:
    """The series that Prometheus keeps while an alert fires."""
    texts = dict({"page": slo.texts.page_labels, "ticket": slo.texts.ticket_labels}.get(condition.severity, {}))
    which = {"tier": condition.name}
    if condition.name == THRESHOLD:
        which = {"kind": "threshold"}
    elif condition.name in (ABSENT, STALE, IMPLAUSIBLE):
        which, texts = {"kind": "data", "alertname": condition.name}, {}
    labels = {
        "alertstate": "firing",
        "slo_id": slo.name,
        "service": slo.service.name,
        **which,
        "severity": texts.get("severity", condition.severity),
    }
    return Selector("ALERTS", tuple(Matcher(label, "=", value) for label, value in labels.items()))


def _expected(slo: Slo, case: Case, timeline: Timeline) -> Iterator[Expected]:
    series = firing(slo, timeline.condition)
    now = f"count({series}) or vector(0)"
    step_s = case.evaluations_s.step
    for fires_ms, resets_ms in timeline.intervals[:_MOST_INTERVALS]:
        for change_s, after in ((fires_ms // 1000, 1), (resets_ms // 1000 if resets_ms else None, 0)):
            if change_s is None:
                continue
            if change_s >= step_s:
                yield Expected(change_s - step_s, now, 1 - after)
            yield Expected(change_s, now, after)
    # A range is closed on both sides, and the first evaluation is at 0.
    whole_s = case.evaluations_s[-1]
    times = sum(timeline.firing)
    yield Expected(whole_s, f"sum(count_over_time({series}[{whole_s}s]))", times or None)
