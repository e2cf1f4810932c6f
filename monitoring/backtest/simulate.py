"""What an alert would have done with the samples of its expression; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.maths.durations import Duration
from monitoring.prometheus import firing
from monitoring.prometheus.client import Series
from monitoring.prometheus.firing import Firing
from monitoring.prometheus.read import while_scraped
from monitoring.prometheus.shown import iso
from monitoring.rules import period
from monitoring.rules.inline import inlined, recorded
from monitoring.rules.model import Alert, Group
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns
from monitoring.spec.model import Slo

KINDS = ("burnrate", "threshold")
"""Those whose value is an error ratio; alerts on missing data are about now, not about a spec."""
STEPS_IN_SHORT_WINDOW = 20


@dataclass(frozen=True)
class Question:
    """An alert to ask history about: its expression of raw metrics, evaluated every `step`."""

    alert: Alert
    expr: str
    step: Duration

    @property
    def tier(self) -> str:
        """Its tier, or its kind when it has none."""
        return self.alert.labels.get("tier") or self.alert.labels.get("kind", "")


@dataclass(frozen=True)
class Answer:
    """When it would have fired, oldest first. `peak` of each is the highest error ratio of its long window."""

    question: Question
    incidents: tuple[Firing, ...]

    def to_json(self, until: float) -> dict[str, Any]:
        """With fixed keys: UTC, seconds, shares of 1."""
        labels = self.question.alert.labels
        return {
            "alert": self.question.alert.alert,
            "tier": self.question.tier,
            "severity": labels.get("severity", ""),
            "step_seconds": int(self.question.step),
            "incidents": [
                {
                    "start": iso(one.start),
                    "end": None if one.end is None else iso(one.end),
                    "seconds": round(one.length_s(until)),
                    "peak_error_ratio": one.peak,
                }
                for one in self.incidents
            ],
        }


def questions(slo: Slo, groups: Sequence[Group], profile: Profile, step: Duration | None) -> list[Question]:
    """One for each burn-rate and direct alert of the SLO. Raises PromqlError when an expression cannot be inlined.

    Without a `step` an alert is evaluated as often as its group is, unless a twentieth
    of its short window is longer: history then costs less, and a start is late by no
    more than that.
    """
    rules = recorded(groups)
    shorts = {burn.name: profile.window(burn.short) for burn in burns(slo)}
    found = []
    for group in groups:
        for rule in group.rules:
            if isinstance(rule, Alert) and rule.labels.get("kind") in KINDS:
                own = max(group.interval, shorts.get(rule.labels.get("tier", ""), 0) // STEPS_IN_SHORT_WINDOW)
                expr = while_scraped(slo, inlined(rule.expr, rules), profile.window(period.SLICE))
                found.append(Question(rule, expr, step or Duration(own)))
    return found


def answer(question: Question, series: Sequence[Series], until: float) -> Answer:
    """What the alert would have done, given the samples of its expression up to `until`."""
    hold = float(question.alert.hold or 0)
    found = [one for each in series for one in firing.would_fire(each.points, question.step, hold, until)]
    return Answer(question, tuple(sorted(found, key=lambda one: one.start)))
