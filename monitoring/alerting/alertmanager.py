"""alertmanager.yml: who hears what, and what stays quiet because something louder speaks.

The tree of routes, in the order in which Alertmanager asks:

1. The Watchdog and drills, which nothing ever mutes.
2. For each set of maintenance spans (`intervals.quiets`), the alerts they cover.
3. Everything else.

Within 2 and 3 come the receivers that the alert itself names (label `notify`), then the
receiver of its severity. Whoever is in both hears it once.

Inhibition compares labels, and a label missing on both sides counts as equal: without
the `slo_id=~".+"` matchers a platform page would silence every other platform ticket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitoring.alerting import intervals, receivers
from monitoring.alerting.matchers import equal, matches, none_of, one_of
from monitoring.config import ONCALL, AlertmanagerSettings, Config, Receivers
from monitoring.errors import Mistake
from monitoring.generatedyaml import dump, made_from
from monitoring.rules import platform
from monitoring.rules.tiers import Burn, burns
from monitoring.spec import targets
from monitoring.spec.extensions import TIER_NAMES
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import Slo

PAGE, TICKET, WATCHDOG, DRILL = "page", "ticket", "watchdog", "drill"
"""The receivers of alertmanager.yml that always exist."""

_SAME_SLO = ("service", "slo_id")
_HAS_SLO = matches("slo_id", ".+")
_NO_DATA_ALERT = none_of("kind", ["data"])
_FASTER = (("page-quick", "page-slow"), ("ticket-quick", "ticket-slow"))


def arguments() -> list[str]:
    """The flags Alertmanager must be started with, beside the paths of its files.

    Alone it needs no cluster; a kill between two snapshots loses the silences of
    that time, so they are taken each minute.
    """
    return ["--cluster.listen-address=", "--data.maintenance-interval=1m"]


def configuration(config: Config, slos: Sequence[Slo] = (), maintenances: Sequence[Maintenance] = ()) -> bytes:
    """alertmanager.yml of one environment; it names messages.tmpl when a receiver needs that."""
    data: dict[str, Any] = {
        "route": _routes(config, intervals.quiets(maintenances, slos), _some_end_quietly(slos)),
        "inhibit_rules": inhibitions(slos, config.environment.receivers.page_severities),
        "receivers": _receivers(config, _some_end_quietly(slos)),
    }
    if receivers.need_templates(config):
        data["templates"] = [receivers.TEMPLATES]
    if spans := intervals.time_intervals(maintenances):
        data["time_intervals"] = spans
    flags = " ".join(arguments())
    return dump(data, made_from("monitoring.yaml"), f"Start Alertmanager, before Prometheus, with {flags}.")


def files(config: Config, slos: Sequence[Slo], maintenances: Sequence[Maintenance]) -> dict[str, bytes]:
    """Everything Alertmanager reads, by name within one folder."""
    found = {"alertmanager.yml": configuration(config, slos, maintenances)}
    return found | ({receivers.TEMPLATES: receivers.templates()} if receivers.need_templates(config) else {})


def unknown_targets(config: Config, slos: Sequence[Slo]) -> tuple[Mistake, ...]:
    """Receivers that specs name and the config does not have, each where it is named."""
    known = config.environment.receivers.names
    where = [(slo.file, slo.line, slo.name, name) for slo in slos for name in slo.notify]
    where += [
        (condition.file or slo.file, condition.line, f"{slo.name}: {condition.name}", name)
        for slo in slos
        for condition in slo.conditions or ()
        for name in condition.notify
    ]
    place = f"environments.{config.environment_name}.receivers.named of {config.path.name}"
    return tuple(
        Mistake(file, line, f"{who}: no receiver {name!r} in {place}; there is {', '.join(known)}")
        for file, line, who, name in dict.fromkeys(where)
        if name not in known
    )


def inhibitions(slos: Sequence[Slo] = (), page_severities: Sequence[str] = (PAGE,)) -> list[dict[str, Any]]:
    """One incident, one notification: page over all else, the faster tier over the slower, of one SLO.

    - Only alerts with an SLO take part: a node that is down silences no SLO, and no SLO a node.
    - A threshold page quiets tickets as any page does, but no burn-rate page. Its window
      is short: it comes and goes while the budget burns on, each time with a notification,
      and Alertmanager swallows the resolve of what is inhibited when it ends.
    - Data alerts say that the figures cannot be trusted; no figure may quiet them, and
      they quiet nothing.
    """
    page, below = one_of("severity", page_severities), none_of("severity", page_severities)
    # What an SLO calls its own conditions need not be what the name says elsewhere.
    theirs = [slo.name for slo in slos if {condition.name for condition in slo.conditions or ()} & set(TIER_NAMES)]
    usual = [_HAS_SLO, *([none_of("slo_id", theirs)] if theirs else [])]
    return [
        _inhibition((page, _HAS_SLO, _NO_DATA_ALERT), (below, _HAS_SLO, _NO_DATA_ALERT)),
        *(_inhibition((equal("tier", quick), *usual), (equal("tier", slow), *usual)) for quick, slow in _FASTER),
        *_own_inhibitions(slos),
    ]


def _own_inhibitions(slos: Sequence[Slo]) -> list[dict[str, Any]]:
    """The faster over the slower for SLOs with conditions of their own, whose names say nothing of their speed."""
    found: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for slo in slos:
        if slo.conditions:
            by_speed = sorted(burns(slo), key=lambda burn: (burn.long, burn.name))
            for i, burn in enumerate(by_speed):
                if slower := tuple(other.name for other in by_speed[i + 1 :] if _is_faster(burn, other)):
                    found.setdefault((burn.name, slower), set()).add(slo.name)
    return [
        _inhibition(
            (equal("tier", quick), one_of("slo_id", names)),
            (one_of("tier", slower), one_of("slo_id", names)),
        )
        for (quick, slower), names in sorted(found.items())
    ]


def _is_faster(one: Burn, other: Burn) -> bool:
    return one.severity == other.severity and one.long < other.long and one.factor >= other.factor


def _inhibition(source: Sequence[str], target: Sequence[str]) -> dict[str, Any]:
    return {"source_matchers": list(source), "target_matchers": list(target), "equal": list(_SAME_SLO)}


def members(receivers: Receivers, name: str) -> tuple[str, ...]:
    """Whom a receiver of alertmanager.yml tells, by their names in the config."""
    return {PAGE: receivers.pages, TICKET: receivers.tickets}.get(name, (name,))


def notified_by_severity(receivers: Receivers, name: str) -> tuple[bool, bool]:
    """Whether somebody hears pages, and whether they hear the rest, without being named by the alert."""
    return name in receivers.pages, name in receivers.tickets


def without_resolved(receivers: Receivers, name: str) -> str | None:
    """The receiver that tells the same people, but not of the end; None for on-call alone, which always hears it."""
    return None if set(members(receivers, name)) == {ONCALL} else f"{name}/firing"


def _some_end_quietly(slos: Sequence[Slo]) -> bool:
    return not all(slo.send_resolved for slo in slos)


def _routes(config: Config, quiets: Sequence[intervals.Quiet], quiet_ends: bool) -> dict[str, Any]:
    settings, receivers = config.environment.alertmanager, config.environment.receivers
    *covered, rest = quiets
    return {
        # The last leaf takes whatever is no page, a mistake without a severity too, so nothing ends here.
        "receiver": TICKET,
        "group_by": ["alertname", "service", "slo_id"],
        "group_wait": str(settings.group_wait),
        "group_interval": str(settings.group_interval),
        "repeat_interval": str(settings.repeat_interval),
        "routes": [
            _watchdog(settings),
            _drill(settings),
            *({"matchers": list(q.matchers), "routes": _leaves(receivers, q.intervals, quiet_ends)} for q in covered),
            *_leaves(receivers, rest.intervals, quiet_ends),
        ],
    }


def _watchdog(settings: AlertmanagerSettings) -> dict[str, Any]:
    beat = settings.watchdog_interval
    return {
        "receiver": WATCHDOG,
        "matchers": [equal("alertname", "Watchdog")],
        "group_wait": "0s",
        "group_interval": str(beat),
        # Just below the group's rhythm: equal, every second beat would be held back.
        "repeat_interval": f"{int(beat) * 900}ms",
    }


def _drill(settings: AlertmanagerSettings) -> dict[str, Any]:
    """A drill waits as long as a page does, each for itself; its end is told soon, so that the next one can begin."""
    return {
        "receiver": DRILL,
        "matchers": [equal("alertname", platform.DRILL)],
        "group_by": ["alertname", "instance"],
        "group_interval": str(settings.group_wait),
    }


def _leaves(receivers: Receivers, muted: Sequence[str], quiet_ends: bool) -> list[dict[str, Any]]:
    """First whom the alert names, unless its severity tells them anyway, each going on; then the severity's."""
    page, below = one_of("severity", receivers.page_severities), none_of("severity", receivers.page_severities)
    leaves: list[dict[str, Any]] = []
    for name in _told_by_name(receivers):
        hears_pages, hears_rest = notified_by_severity(receivers, name)
        others = [below] if hears_pages else [page] if hears_rest else []
        named = matches(targets.LABEL, targets.pattern(name))
        leaves.append({"receiver": name, "matchers": [named, *others], "continue": True})
    leaves += [{"receiver": PAGE, "matchers": [page]}, {"receiver": TICKET, "matchers": [below]}]
    if quiet_ends:
        leaves = [one for leaf in leaves for one in _by_end(receivers, leaf)]
    return [leaf | {"mute_time_intervals": list(muted)} for leaf in leaves] if muted else leaves


def _by_end(receivers: Receivers, leaf: dict[str, Any]) -> list[dict[str, Any]]:
    """A leaf as two: for alerts whose end is not told, and for all others."""
    quiet = without_resolved(receivers, leaf["receiver"])
    if quiet is None:
        return [leaf]
    first = leaf | {
        "receiver": quiet,
        "matchers": [*leaf["matchers"], equal(targets.RESOLVED_LABEL, targets.NOT_RESOLVED)],
    }
    others = [*leaf["matchers"], none_of(targets.RESOLVED_LABEL, [targets.NOT_RESOLVED])]
    return [first, leaf | {"matchers": others}]


def _told_by_name(receivers: Receivers) -> list[str]:
    """Whoever does not hear everything anyway."""
    return [name for name in receivers.names if not all(notified_by_severity(receivers, name))]


def _receivers(config: Config, quiet_ends: bool) -> list[dict[str, Any]]:
    settings = config.environment.receivers
    watchdog = receivers.webhook(config, settings.watchdog or settings.oncall) | {"send_resolved": True}
    drill = receivers.webhook(config, settings.oncall) | {"send_resolved": True}
    names = (PAGE, TICKET, *_told_by_name(settings))
    quiet = [(name, found) for name in names if quiet_ends and (found := without_resolved(settings, name))]
    return [
        *(receivers.receiver(name, config, members(settings, name)) for name in names),
        {"name": WATCHDOG, "webhook_configs": [watchdog]},
        {"name": DRILL, "webhook_configs": [drill]},
        *(receivers.receiver(found, config, members(settings, name), send_resolved=False) for name, found in quiet),
    ]
