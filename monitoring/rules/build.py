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

TICKET_INTERVAL = Duration.parse("1m")
"""Tickets look at days; asking for those once a minute is soon enough and four times cheaper."""

_URGENT = Duration.parse("6h")
"""Alerts whose long window is at most this are evaluated as often as pages."""


def slo_file(slo: Slo, profile: Profile, spans: Sequence[Span] = ()) -> RuleFile:
    """All rules of one SLO. Raises SpecError for an alert that can never fire, OutOfRangeError for too short a window.

    Pages, tickets and the period are evaluated in groups of their own, each at the
    rhythm it needs; no rule's meaning depends on that rhythm. `spans` are its maintenance.
    """
    every = burns(slo)
    pages = [burn for burn in every if burn.long <= _URGENT]
    tickets = [burn for burn in every if burn.long > _URGENT]
    direct_window = threshold_window(slo)
    threshold = {profile.window(direct_window)} if direct_window else set()
    page_counted = _long(pages, profile) | threshold | {profile.window(recording.FRESH_WINDOW)}
    page_windows = _short(pages, profile)
    ticket_counted = _long(tickets, profile) - page_counted
    ticket_windows = _short(tickets, profile) - page_windows - page_counted
    maintained = bool(spans)
    direct = [alerts.threshold_alert(slo, direct_window, profile, maintained=maintained)] if direct_window else []
    page_rules: tuple[Rule, ...] = (
        *recording.sample_rules(slo, profile),
        *recording.window_rules(slo, page_windows, page_counted, profile),
        *recording.budget_rules(slo, profile, spans),
        *direct,
        *(alerts.burn_alert(slo, burn, profile, maintained=maintained) for burn in pages),
    )
    ticket_rules: tuple[Rule, ...] = (
        *recording.window_rules(slo, ticket_windows, ticket_counted, profile),
        *(alerts.burn_alert(slo, burn, profile, maintained=maintained) for burn in tickets),
    )
    groups = (
        Group(f"slo/{slo.name}/page", profile.evaluation_interval, page_rules),
        Group(f"slo/{slo.name}/ticket", profile.interval(TICKET_INTERVAL), ticket_rules),
        Group(f"slo/{slo.name}/period", profile.interval(SLICE), recording.period_rules(slo, profile, spans)),
    )
    return RuleFile(f"slo-{slo.name}", slo.file, tuple(group for group in groups if group.rules))


def _long(some: list[Burn], profile: Profile) -> set[Duration]:
    return {profile.window(burn.long) for burn in some}


def _short(some: list[Burn], profile: Profile) -> set[Duration]:
    return {profile.window(burn.short) for burn in some}
