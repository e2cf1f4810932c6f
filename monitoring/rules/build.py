"""The chain from SLOs to rule files; pure."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.maths.durations import Duration
from monitoring.rules import alerts, recording
from monitoring.rules.model import Group, Rule, RuleFile
from monitoring.rules.period import SLICE, Span
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import Burn, burns, threshold_window
from monitoring.spec.model import Slo

SLOW_INTERVAL = Duration.parse("1m")
"""Long windows change slowly: once a minute is soon enough for them, and several times cheaper."""

_QUICK = Duration.parse("1h")
"""Alerts whose long window is at most this are evaluated at the evaluation interval."""


def slo_file(slo: Slo, profile: Profile, spans: Sequence[Span] = ()) -> RuleFile:
    """All rules of one SLO. Raises SpecError for an alert that can never fire, OutOfRangeError for too short a window.

    Quick alerts, slow ones and the period are evaluated in groups of their own, each at
    the rhythm it needs; no rule's meaning depends on that rhythm. `spans` are its maintenance.
    """
    every = burns(slo)
    quick = [burn for burn in every if burn.long <= _QUICK]
    slow = [burn for burn in every if burn.long > _QUICK]
    direct_window = threshold_window(slo)
    threshold = {profile.window(direct_window)} if direct_window else set()
    quick_counted = _long(quick, profile) | threshold | {profile.window(recording.FRESH_WINDOW)}
    quick_windows = _short(quick, profile)
    slow_counted = _long(slow, profile) - quick_counted
    slow_windows = _short(slow, profile) - quick_windows - quick_counted
    maintained = bool(spans)
    direct = [alerts.threshold_alert(slo, direct_window, profile, maintained=maintained)] if direct_window else []
    quick_rules: tuple[Rule, ...] = (
        *recording.sample_rules(slo, profile),
        *recording.window_rules(slo, quick_windows, quick_counted, profile),
        *recording.budget_rules(slo, profile, spans),
        *direct,
        *(alerts.burn_alert(slo, burn, profile, maintained=maintained) for burn in quick),
    )
    slow_rules: tuple[Rule, ...] = (
        *recording.window_rules(slo, slow_windows, slow_counted, profile),
        *(alerts.burn_alert(slo, burn, profile, maintained=maintained) for burn in slow),
    )
    groups = (
        Group(f"slo/{slo.name}/quick", profile.evaluation_interval, quick_rules),
        Group(f"slo/{slo.name}/slow", profile.interval(SLOW_INTERVAL), slow_rules),
        Group(f"slo/{slo.name}/period", profile.interval(SLICE), recording.period_rules(slo, profile, spans)),
    )
    return RuleFile(f"slo-{slo.name}", slo.file, tuple(group for group in groups if group.rules))


def _long(some: list[Burn], profile: Profile) -> set[Duration]:
    return {profile.window(burn.long) for burn in some}


def _short(some: list[Burn], profile: Profile) -> set[Duration]:
    return {profile.window(burn.short) for burn in some}
