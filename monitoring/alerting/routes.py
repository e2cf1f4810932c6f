"""Which receivers each kind of alert should reach, said from the config and not from the routes.

The table is generated beside alertmanager.yml for people to review; `check` asks amtool
where Alertmanager would really send each of its rows, and compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitoring.alerting import intervals
from monitoring.alerting.alertmanager import DRILL, PAGE, TICKET, WATCHDOG, notified_by_severity, without_resolved
from monitoring.config import Config, Receivers
from monitoring.generatedyaml import made_from
from monitoring.rules import platform
from monitoring.rules.model import Alert, RuleFile
from monitoring.spec import targets
from monitoring.spec.maintenance import Maintenance
from monitoring.spec.model import Slo

_LABELS = ("service", "slo_id", "severity", targets.LABEL, targets.RESOLVED_LABEL)
"""What decides beside the alert's name, in the order of the columns."""
_OWN = {"Watchdog": WATCHDOG, platform.DRILL: DRILL}
"""Alerts that have a receiver of their own, and are never muted."""


@dataclass(frozen=True)
class Row:
    """An alert's labels, the receivers of alertmanager.yml it reaches, in order, and when they are quiet."""

    labels: Mapping[str, str]
    receivers: tuple[str, ...]
    muted_in: tuple[str, ...]
    """Names of time intervals."""


def expected(receivers: Receivers, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The receivers of an alert: those it names, as far as its severity's does not tell them; then its severity's."""
    own = _OWN.get(labels.get("alertname", ""))
    if own:
        return (own,)
    pages = labels.get("severity") in receivers.page_severities
    named = targets.notified(labels)
    alone = [n for n in receivers.names if n in named and not notified_by_severity(receivers, n)[0 if pages else 1]]
    told = (*alone, PAGE if pages else TICKET)
    if labels.get(targets.RESOLVED_LABEL) != targets.NOT_RESOLVED:
        return told
    return tuple(without_resolved(receivers, name) or name for name in told)


def muted_in(quiets: Sequence[intervals.Quiet], labels: Mapping[str, str]) -> tuple[str, ...]:
    """The time intervals in which nobody hears of an alert."""
    if labels.get("alertname") in _OWN:
        return ()
    of_slo = [q for q in quiets if labels.get("slo_id") in q.slos]
    of_service = [q for q in quiets if labels.get("service") in q.services]
    return [*of_slo, *of_service, quiets[-1]][0].intervals


def rows(
    config: Config, slos: Sequence[Slo], maintenances: Sequence[Maintenance], rules: Iterable[RuleFile]
) -> tuple[Row, ...]:
    """One row for each way an alert of the rules can go, and for those that no rule takes yet.

    Alerts that differ in nothing that routes ask for share a row, under the first of their names.
    """
    receivers, quiets = config.environment.receivers, intervals.quiets(maintenances, slos)
    found: dict[tuple[object, ...], Row] = {}
    for labels in (*_of_rules(rules), *_others(config)):
        row = Row(labels, expected(receivers, labels), muted_in(quiets, labels))
        asked = tuple(labels.get(name) for name in ("service", "severity", targets.LABEL))
        told_apart = (*asked, "slo_id" in labels, row.receivers, row.muted_in)
        found.setdefault(told_apart, row)
    return tuple(found.values())


def sample(every: Sequence[Row], most: int) -> tuple[Row, ...]:
    """At most `most` rows: one of each combination of severity, names and quiet first, then spread over the rest.

    amtool reads the whole configuration again for each row: a table of hundreds would take longer than all else.
    """
    if len(every) <= most:
        return tuple(every)
    kinds: dict[tuple[object, ...], Row] = {}
    for row in every:
        named = row.labels.get(targets.LABEL)
        kinds.setdefault((row.labels.get("severity"), named, row.receivers, bool(row.muted_in)), row)
    chosen = list(kinds.values())[:most]
    rest = [row for row in every if row not in chosen]
    left = most - len(chosen)
    return (*chosen, *(rest[i * len(rest) // left] for i in range(left)))


def table(config: Config, some: Iterable[Row]) -> bytes:
    """routes.md."""
    receivers = config.environment.receivers
    lines = [
        f"<!-- {made_from('the specs and monitoring.yaml')} -->",
        f"# Who hears what in {config.environment_name}",
        "",
        f"`{PAGE}` is {_listed(receivers.pages)}; `{TICKET}` is {_listed(receivers.tickets)}; `{WATCHDOG}` is "
        f"{'a webhook of its own' if receivers.watchdog else '`oncall`'}; `{DRILL}` is `oncall`. "
        "Alerts that share all that routes ask for",
        "share a row. `python -m monitoring check` asks amtool about each, or about a sample of a long table.",
        "",
        f"| alert, for example | {' | '.join(_LABELS)} | receivers | quiet in |",
        "|---" * (len(_LABELS) + 3) + "|",
    ]
    for row in some:
        labels = (_cell(row.labels.get(name, "")) for name in ("alertname", *_LABELS))
        lines.append(f"| {' | '.join(labels)} | {_listed(row.receivers)} | {_listed(row.muted_in)} |")
    return ("\n".join(lines) + "\n").encode()


def _of_rules(rules: Iterable[RuleFile]) -> list[dict[str, str]]:
    alerts = [rule for file in rules for rule in file.rules() if isinstance(rule, Alert)]
    # A template in a label is filled when the alert fires; no route asks for such a one.
    return [
        {"alertname": alert.alert} | {k: v for k, v in sorted(alert.labels.items()) if "{{" not in v}
        for alert in alerts
    ]


def _others(config: Config) -> list[dict[str, str]]:
    """An alert of each severity for each receiver that a spec may name, one for all, and two of somebody else."""
    receivers, service = config.environment.receivers, config.file.service
    severities = (*receivers.page_severities, TICKET)
    name = {"alertname": "Example", "service": service}
    groups = [*([one] for one in receivers.names), list(receivers.names)]
    named = [name | {"severity": severity} | targets.notify_label(group) for group in groups for severity in severities]
    return [*named, name | {"severity": "unheard-of"}, {"alertname": "Example"}]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`" if text else ""
