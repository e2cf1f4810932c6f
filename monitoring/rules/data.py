"""Alerts about the measurements themselves, one rule for all SLOs: an SLO without data looks healthy.

`absent`, `stale` and `implausible` compare recorded slices, so three rules watch a
thousand SLOs. They are tickets: what people feel, the probes and direct alerts page for.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.maths.durations import Duration
from monitoring.promql import Matcher, Selector
from monitoring.rules import names
from monitoring.rules.model import Alert, Group, RuleFile
from monitoring.rules.period import SLICE
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo

WINDOW = Duration.parse("1h")
_TOLERATED_SURPLUS = "0.01"
"""Scrapes that fall between two counters even out within an hour; a hundredth too much does not."""


def rule_file(slos: Sequence[Slo], profile: Profile) -> RuleFile:
    """The three alerts for every SLO that wants to hear of missing data."""
    window, slice_ = profile.window(WINDOW), profile.interval(SLICE)
    silent = tuple(slo.name for slo in slos if not slo.alert_when_no_data)
    scope = (Matcher("slo_id", "!~", "|".join(silent).replace(".", "\\.")),) if silent else ()
    objective, events, surplus = (
        Selector(name, scope) for name in (names.OBJECTIVE, names.SLICE_EVENTS, names.SURPLUS)
    )
    seen = f"present_over_time({events}[{window}])"
    alerts = (
        _alert(
            profile,
            "SloDataAbsent",
            "data-absent",
            f"{objective} unless on (slo_id) {seen}",
            window,
            "{{ $labels.slo_id }} has no data",
            f"Nothing has been measured for {window}: no objective can be told, and no alert of it can fire. "
            "The metric is missing, or is called something else than in the spec.",
        ),
        _alert(
            profile,
            "SloDataStale",
            "data-stale",
            f"{seen} unless on (slo_id) present_over_time({events}[{Duration(3 * slice_)}])",
            # After a restart of Prometheus the first slice needs so long: that is not the SLO's silence.
            Duration(2 * slice_),
            "{{ $labels.slo_id }} has stopped being measured",
            f"There was data within {window}, and there is none now: a target is gone, a metric was renamed, or its "
            "rules fail.",
        ),
        _alert(
            profile,
            "SloDataImplausible",
            "data-implausible",
            f"sum by (slo_id, service) (sum_over_time({surplus}[{window}]))\n"
            f"> {_TOLERATED_SURPLUS} * sum by (slo_id, service) (sum_over_time({events}[{window}])) > 0",
            None,
            "{{ $labels.slo_id }} counts more good or bad events than there were",
            f"{{{{ $value | humanize }}}} events of the last {window} are in the part but not in the total; the two "
            "queries do not count the same thing.",
        ),
    )
    # No SLO's file can be called so: theirs begin with "slo-".
    return RuleFile("data", "the specs", (Group("slo-data", profile.interval(Duration(60)), alerts),))


def _alert(
    profile: Profile, name: str, runbook: str, expr: str, hold: Duration | None, summary: str, description: str
) -> Alert:
    return Alert(
        alert=name,
        expr=expr,
        labels={"severity": "ticket", "kind": "data"},
        annotations={"summary": summary, "description": description, "runbook_url": profile.runbook(runbook)},
        hold=hold,
    )
