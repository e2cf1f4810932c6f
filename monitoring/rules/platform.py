"""Alerts beside the SLOs: the dead man's switch, and what breaks a messenger directly.

`watchdog` belongs to every stack; `messenger` is the messenger's own set, a table of `Direct`. An SLO says that
people are hurt, these say why, or that they soon will be. So most are tickets: a page of the SLO comes when it hurts.
A page is what hurts at once, or what must not wait for the morning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from monitoring.maths.decimals import plain
from monitoring.maths.durations import Duration
from monitoring.promql import Matcher
from monitoring.rules.model import Alert, Group, RuleFile
from monitoring.rules.profile import Profile
from monitoring.signals import messenger as signals
from monitoring.signals.kinds import Scope
from monitoring.spec.model import Severity

_SHORT_HOLD = Duration.parse("30s")
"""Two scrapes in production: one that failed tells nothing."""
_LONG_HOLD = Duration.parse("1m")
_WINDOW = Duration.parse("5m")
_LONG_WINDOW = Duration.parse("15m")
"""For probes that run every few minutes: two of them lie in it."""

_NODES = Scope((Matcher("job", "=", signals.JOB),))
_PROBES = Scope((Matcher("job", "=", signals.PROBE_JOB),))
_PER_NODE = ("job", "instance")

_PROBE_SILENCE_S = 60
_FAILING_SHARE, _FAILING_RUNS = Decimal("0.5"), Decimal("1.5")
"""More often than not, and twice: `increase` tells a little less than two when it extrapolates."""
_QUORUM = 2
_LOG_LAG_LIMIT_S = 10
"""As in the node's own readiness."""
_LOOP_LAG_LIMIT_S = Decimal("0.25")
"""What a delivery may take: a loop that comes late by so much breaks the fan-out objective alone."""
_DESCRIPTORS_LOW, _DESCRIPTORS_OUT = Decimal("0.8"), Decimal("0.95")
_FEW = 10
"""So many events in the window are noise, whatever share they are."""
_LOST_SHARE = Decimal("0.01")
_SLOW_SHARE = Decimal("0.01")
_SKEW_SHARE = Decimal("0.1")
"""Between machines of one room a frame takes about as long as their clocks differ, so some are always negative."""
_SPARE_SHARE = Decimal("0.1")
"""Devices that are away for long run out of keys; where that is more than one claim in ten, somebody takes them."""
_STORM_SHARE = Decimal("0.5")
_STORM_CONNECTS = 200
"""More than a probe makes in the window."""
_DAY_S = 86_400
_BACKUP_AGE_S = 26 * 3_600
"""A day, and time for one that is slow."""
_CERTIFICATE_SOON_S, _CERTIFICATE_NOW_S = 21 * _DAY_S, 3 * _DAY_S
"""An automatic renewal is a week late at 21 days; at three, people are about to be locked out."""


@dataclass(frozen=True)
class Direct:
    """One alert. `expr` gets scopes of the nodes and of the probes whose range is the window on the profile's scale."""

    name: str
    severity: Severity
    runbook: str
    expr: Callable[[Scope, Scope], str]
    summary: str
    description: str
    hold: Duration | None = None
    window: Duration = _WINDOW


def _node_down(nodes: Scope, _probes: Scope) -> str:
    return f"{signals.UP.value(nodes)} == 0"


def _log_lag(nodes: Scope, _probes: Scope) -> str:
    away = f"{signals.DATABASE_CONNECTED.value(nodes)} == 0"
    return f"{signals.LOG_LAG.value(nodes)} > {_LOG_LAG_LIMIT_S}\nunless on (job, instance)\n{away}"


def _database_disconnected(nodes: Scope, _probes: Scope) -> str:
    return f"{signals.DATABASE_CONNECTED.value(nodes)} == 0"


def _pool_exhausted(nodes: Scope, _probes: Scope) -> str:
    return f"{signals.POOL_WAITING.value(nodes)} > 0"


def _backup_stale(nodes: Scope, _probes: Scope) -> str:
    # A node that has just started has not asked yet, and says 0.
    return f"time() - max by (job) ({signals.BACKED_UP.value(nodes)} != 0) > {_BACKUP_AGE_S}"


def _bus_disconnected(nodes: Scope, _probes: Scope) -> str:
    return f"{signals.BUS_CONNECTED.value(nodes)} == 0"


def _bus_losses(nodes: Scope, _probes: Scope) -> str:
    message = {"path": "message"}
    recovered = signals.FANOUT_RECOVERED.increase(nodes, _PER_NODE, message)
    heard = signals.FANOUT_STAGE.events(nodes, _PER_NODE, message | {"stage": "relay"})
    share = f"{plain(_LOST_SHARE)} * ({recovered} + {heard} + {signals.COMMITTED.total(nodes, _PER_NODE)})"
    connected = f"{signals.BUS_CONNECTED.value(nodes)} == 1"  # else BusDisconnected has said so
    return f"{recovered} > {_FEW}\nand\n{recovered} > {share}\nand on (job, instance)\n{connected}"


def _clock_skew(nodes: Scope, _probes: Scope) -> str:
    early = signals.CLOCK_SKEW.increase(nodes, _PER_NODE)
    heard = signals.FANOUT_STAGE.events(nodes, _PER_NODE, {"stage": "relay"})
    return f"{early} > {_FEW}\nand\n{early} > {plain(_SKEW_SHARE)} * {heard}"


def _loop_lag(nodes: Scope, _probes: Scope) -> str:
    return f"{signals.LOOP_LAG.quantile(Decimal('0.99'), nodes, _PER_NODE)} > {plain(_LOOP_LAG_LIMIT_S)}"


def _descriptors(limit: Decimal, below: Decimal | None = None) -> Callable[[Scope, Scope], str]:
    def expr(nodes: Scope, _probes: Scope) -> str:
        used = f"{signals.OPEN_DESCRIPTORS.value(nodes)} / {signals.MAX_DESCRIPTORS.value(nodes)}"
        return f"{used} > {plain(limit)}" + (f" <= {plain(below)}" if below else "")

    return expr


def _slow_consumers(nodes: Scope, _probes: Scope) -> str:
    slow = signals.CLOSES.increase(nodes, _PER_NODE, {"code": "4008"})
    connected = signals.CONNECTIONS.sum(nodes, _PER_NODE)
    return f"{slow} > {_FEW}\nand\n{slow} > {plain(_SLOW_SHARE)} * {connected}"


def _keys_exhausted(nodes: Scope, _probes: Scope) -> str:
    # Over all nodes: claims of one device's keys are spread over them.
    spare = signals.KEYS_CLAIMED.increase(nodes, ("job",), {"key": "fallback"})
    claimed = signals.KEYS_CLAIMED.increase(nodes, ("job",))
    return f"{spare} > {_FEW}\nand\n{spare} > {plain(_SPARE_SHARE)} * {claimed}"


def _reconnect_storm(nodes: Scope, _probes: Scope) -> str:
    # Over all nodes: people who move from one to another are a storm as well, and no node alone has half of them.
    connects = signals.CONNECTS.increase(nodes, ("job",), {"result": "accepted"})
    connected = signals.CONNECTIONS.sum(nodes, ("job",))
    return f"{connects} > {_STORM_CONNECTS}\nand\n{connects} > {plain(_STORM_SHARE)} * {connected}"


def _certificate(left_s: int, above_s: int | None = None) -> Callable[[Scope, Scope], str]:
    def expr(_nodes: Scope, probes: Scope) -> str:
        left = f"{signals.PROBE_CERTIFICATE_EXPIRY.value(probes)} - time()"
        return f"{left} < {left_s}" + (f" >= {above_s}" if above_s else "")

    return expr


def _probe_absent(_nodes: Scope, probes: Scope) -> str:
    heartbeat = signals.PROBE_HEARTBEAT.value(probes)
    return f"absent({heartbeat})\nor\ntime() - {heartbeat} > {_PROBE_SILENCE_S}"


def _failing(probes: Scope) -> str:
    """Kinds of probe that fail more often than not, for each prober."""
    per = (*_PER_NODE, "probe")
    failed = signals.PROBE_RUNS.increase(probes, per, {"outcome": "failed"})
    share = f"{failed} / {signals.PROBE_RUNS.increase(probes, per)}"
    return f"({share} > {plain(_FAILING_SHARE)} and {failed} > {plain(_FAILING_RUNS)})"


def _probe_failing(_nodes: Scope, probes: Scope) -> str:
    # One place may have trouble of its own: of several probers two must see it.
    probers = f"count by (job) ({signals.PROBE_HEARTBEAT.value(probes)})"
    return f"count by (job, probe) {_failing(probes)}\n>= on (job) group_left\nclamp_max({probers}, {_QUORUM})"


def _probe_failing_here(nodes: Scope, probes: Scope) -> str:
    return f"{_failing(probes)}\nunless on (job, probe)\n({_probe_failing(nodes, probes)})"


def _canary_lost(_nodes: Scope, probes: Scope) -> str:
    return f"{signals.PROBE_CANARIES.increase(probes, _PER_NODE, {'outcome': 'lost'})} > 0"


_NODE = "{{ $labels.instance }}"
_COUNT = '{{ printf "%.0f" $value }}'
_LEFT = "{{ $value | humanizeDuration }}"

MESSENGER = (
    Direct(
        "NodeDown", "page", "node-down", _node_down,
        "A messenger node cannot be scraped",
        f"{_NODE} has not answered Prometheus; its people reconnect to the other nodes.",
        _SHORT_HOLD,
    ),
    Direct(
        "DatabaseDisconnected", "page", "database-disconnected", _database_disconnected,
        "A node does not reach PostgreSQL",
        f"{_NODE} gets no answer from PostgreSQL: nobody can sign in or send there.",
        _SHORT_HOLD,
    ),
    Direct(
        "LogLag", "page", "log-lag", _log_lag,
        "A node no longer reads the log of commits",
        f"{_NODE} read the log to its end {_LEFT} ago; what the bus loses now is not made good.",
        _SHORT_HOLD,
    ),
    Direct(
        "DatabasePoolExhausted", "ticket", "database-pool-exhausted", _pool_exhausted,
        "Calls wait for a database connection",
        f"{_COUNT} calls of {_NODE} wait for a connection, and some did at every look for a minute.",
        _LONG_HOLD,
    ),
    Direct(
        "BackupStale", "ticket", "backup-stale", _backup_stale,
        "The database was not backed up for more than a day",
        f"The last backup was taken {_LEFT} ago; what came since would be lost with the database.",
    ),
    Direct(
        "BusDisconnected", "ticket", "bus-disconnected", _bus_disconnected,
        "A node does not hear the other nodes",
        f"{_NODE} has lost Redis; messages between nodes now wait for the log of commits.",
        _SHORT_HOLD,
    ),
    Direct(
        "BusLosses", "ticket", "bus-losses", _bus_losses,
        "The bus loses messages",
        f"{_COUNT} messages came to {_NODE} by the log of commits, up to a fifth of a second late, because the bus "
        "had not brought them, although it is connected.",
    ),
    Direct(
        "ClockSkew", "ticket", "clock-skew", _clock_skew,
        "The nodes' clocks differ",
        f"{_COUNT} events came to {_NODE} before they were sent: latencies between nodes are not what they seem.",
    ),
    Direct(
        "LoopLag", "ticket", "loop-lag", _loop_lag,
        "A node's event loop comes late",
        f"One in a hundred turns of the loop of {_NODE} is later than {_LEFT}: everything there waits for it.",
        _LONG_HOLD,
    ),
    Direct(
        "DescriptorsLow", "ticket", "descriptors", _descriptors(_DESCRIPTORS_LOW, _DESCRIPTORS_OUT),
        "A node's descriptors run low",
        f"{_NODE} has {{{{ $value | humanizePercentage }}}} of its descriptors open; each connection needs one.",
        _LONG_HOLD,
    ),
    Direct(
        "DescriptorsExhausted", "page", "descriptors", _descriptors(_DESCRIPTORS_OUT),
        "A node is about to refuse everybody",
        f"{_NODE} has {{{{ $value | humanizePercentage }}}} of its descriptors open; at the limit it takes neither "
        "people nor scrapes.",
        _SHORT_HOLD,
    ),
    Direct(
        "SlowConsumers", "ticket", "slow-consumers", _slow_consumers,
        "Many devices read too slowly",
        f"{_NODE} has closed {_COUNT} connections with 4008 because they took nothing for 10 s or let 1 MiB wait.",
    ),
    Direct(
        "OneTimeKeysExhausted", "ticket", "one-time-keys", _keys_exhausted,
        "Devices run out of one-time keys",
        f"{_COUNT} sessions were begun with fallback keys within five minutes, more than one in ten: devices do not "
        "upload new keys, or somebody uses them up.",
    ),
    Direct(
        "ReconnectStorm", "ticket", "reconnect-storm", _reconnect_storm,
        "People reconnect again and again",
        f"{_COUNT} connections were made within five minutes, more than half of those that are open.",
    ),
    Direct(
        "CertificateExpiresSoon", "ticket", "certificate", _certificate(_CERTIFICATE_SOON_S, _CERTIFICATE_NOW_S),
        "The messenger's certificate was not renewed",
        f"The certificate that {_NODE} was shown ends in {_LEFT}.",
    ),
    Direct(
        "CertificateExpires", "page", "certificate", _certificate(_CERTIFICATE_NOW_S),
        "The messenger's certificate ends",
        f"The certificate that {_NODE} was shown ends in {_LEFT}; then nobody can connect.",
    ),
    Direct(
        "ProbeAbsent", "page", "probe-absent", _probe_absent,
        "Nobody checks the messenger from outside",
        "The probe has not run for a minute; an outage that the messenger itself cannot see would go unnoticed.",
        _SHORT_HOLD,
    ),
    Direct(
        "ProbeFailing", "page", "probe-failing", _probe_failing,
        "What people do with the messenger fails",
        "The probe {{ $labels.probe }} fails more often than not, for {{ $value }} of those who try it from outside.",
        window=_LONG_WINDOW,
    ),
    Direct(
        "ProbeFailingHere", "ticket", "probe-failing", _probe_failing_here,
        "One prober cannot do what others can",
        f"The probe {{{{ $labels.probe }}}} of {_NODE} fails more often than not, and no other prober's does: "
        "look at its place first.",
        window=_LONG_WINDOW,
    ),
    Direct(
        "ProbeCanaryLost", "page", "probe-canary-lost", _canary_lost,
        "A canary message was lost",
        f"{_COUNT} canary messages from {_NODE} never arrived. A confirmed loss breaks the promise, however much "
        "budget is left.",
    ),
)  # fmt: skip
"""The messenger's own alerts. docs/runbooks has a page for each that gives the reasons of its threshold."""


def watchdog(profile: Profile, service: str) -> RuleFile:
    """Fires always; whoever hears it pages when it falls silent, because then alerting is broken."""
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


DRILL = "OnCallDrill"
"""The alert that a prober raises to see that alerts arrive. On-call knows it by this name, and calls nobody."""


def messenger(profile: Profile, service: str) -> RuleFile:
    """What makes a messenger stop, seen before the budget notices; and the drill."""
    alerts = (*(_alert(direct, profile, service) for direct in MESSENGER), _drill(profile, service))
    return RuleFile("messenger", "the messenger mixin", (Group("messenger", profile.evaluation_interval, alerts),))


def _drill(profile: Profile, service: str) -> Alert:
    return Alert(
        alert=DRILL,
        expr=f"{signals.PROBE_DRILL.value(_PROBES)} > 0",
        labels={"service": service, "severity": "none", "kind": "platform"},
        annotations={
            "summary": "A drill: nothing is wrong",
            "description": f"The prober {_NODE} looks how long an alert takes to be told. Nobody is called for it.",
            "drill": _COUNT,  # no label: the next drill is the same alert with another number
            "runbook_url": profile.runbook("alert-pipeline"),
        },
    )


def _alert(direct: Direct, profile: Profile, service: str) -> Alert:
    window = str(profile.window(direct.window))
    return Alert(
        alert=direct.name,
        expr=direct.expr(Scope(_NODES.matchers, window), Scope(_PROBES.matchers, window)),
        labels={"service": service, "severity": direct.severity, "kind": "platform"},
        annotations={
            "summary": direct.summary,
            "description": direct.description,
            "runbook_url": profile.runbook(direct.runbook),
            "dashboard_url": profile.dashboard("messenger-overview"),
        },
        hold=profile.hold(direct.hold) if direct.hold else None,
    )
