"""Alerts beside the SLOs: the dead man's switch, and what breaks a messenger directly.

`watchdog` belongs to every stack; `messenger` is the messenger's own set.
"""

from __future__ import annotations

from monitoring.maths.durations import Duration
from monitoring.promql import Matcher
from monitoring.rules.model import Alert, Group, RuleFile
from monitoring.rules.profile import Profile
from monitoring.signals import messenger as signals
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Severity

_NODES = Scope((Matcher("job", "=", signals.JOB),))
_PROBES = Scope((Matcher("job", "=", signals.PROBE_JOB),))
_HOLD = Duration.parse("30s")
_LOSS_WINDOW = Duration.parse("5m")
_PROBE_SILENCE_S = 60
_LOG_LAG_LIMIT_S = 10


def watchdog(profile: Profile, service: str) -> RuleFile:
    """One alert that always fires: whoever hears it no longer knows that alerting is broken."""
    alert = Alert(
        alert="Watchdog",
        expr="vector(1)",
        labels={"service": service, "severity": "none", "kind": "platform"},
        annotations={
            "summary": "Alerting works",
            "description": "Fires always. The receiver pages when it stops hearing this.",
            "runbook_url": profile.runbook("watchdog"),
        },
    )
    return RuleFile("watchdog", "monitoring.yaml", (Group("watchdog", profile.evaluation_interval, (alert,)),))


def messenger(profile: Profile, service: str) -> RuleFile:
    """What makes a messenger stop, seen before the budget notices."""
    alerts = (
        _alert(
            profile, service, "NodeDown", "page", "node-down",
            f"{signals.UP.value(_NODES)} == 0",
            "A messenger node cannot be scraped",
            "{{ $labels.instance }} has not answered Prometheus; its people reconnect to the other nodes.",
            _HOLD,
        ),
        _alert(
            profile, service, "LogLag", "page", "log-lag",
            f"{signals.LOG_LAG.value(_NODES)} > {_LOG_LAG_LIMIT_S}",
            "A node no longer reads the log of commits",
            "{{ $labels.instance }} read the log to its end {{ $value | humanizeDuration }} ago; "
            "what the bus loses now is not made good.",
            _HOLD,
        ),
        _alert(
            profile, service, "BusDisconnected", "ticket", "bus-disconnected",
            f"{signals.BUS_CONNECTED.value(_NODES)} == 0",
            "A node does not hear the other nodes",
            "{{ $labels.instance }} has lost Redis; messages between nodes now wait for the log of commits.",
            _HOLD,
        ),
        _alert(
            profile, service, "ProbeAbsent", "page", "probe-absent",
            f"absent({signals.PROBE_HEARTBEAT.value(_PROBES)})\n"
            f"or\ntime() - {signals.PROBE_HEARTBEAT.value(_PROBES)} > {_PROBE_SILENCE_S}",
            "Nobody checks the messenger from outside",
            "The probe has not run for a minute; an outage that the messenger itself cannot see would go unnoticed.",
            _HOLD,
        ),
        _alert(
            profile, service, "ProbeCanaryLost", "page", "probe-canary-lost",
            f"{_lost(profile)} > 0",
            "A canary message was lost",
            "{{ printf \"%.0f\" $value }} canary messages from {{ $labels.instance }} never arrived. A confirmed loss "
            "breaks the promise, however much budget is left.",
            None,
        ),
    )  # fmt: skip
    return RuleFile("messenger", "the messenger mixin", (Group("messenger", profile.evaluation_interval, alerts),))


def _lost(profile: Profile) -> str:
    scope = Scope(_PROBES.matchers, str(profile.window(_LOSS_WINDOW)))
    return signals.PROBE_CANARIES.increase(scope, by=("job", "instance"), where={"outcome": "lost"})


def _alert(
    profile: Profile,
    service: str,
    name: str,
    severity: Severity,
    runbook: str,
    expr: str,
    summary: str,
    description: str,
    hold: Duration | None,
) -> Alert:
    return Alert(
        alert=name,
        expr=expr,
        labels={"service": service, "severity": severity, "kind": "platform"},
        annotations={
            "summary": summary,
            "description": description,
            "runbook_url": profile.runbook(runbook),
            "dashboard_url": profile.dashboard("messenger-overview"),
        },
        hold=profile.hold(hold) if hold else None,
    )
