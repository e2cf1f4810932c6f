"""The labels by which an alert says who hears of it: `notify=",team-slack,team-mail,"`.

A label has one value, and an SLO may name several receivers. With commas around each
name, one route a receiver finds its own name and never part of another. Whoever does
not want to hear of the end says so by `notify_resolved="no"`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from monitoring.spec.model import Slo

LABEL = "notify"
RESOLVED_LABEL = "notify_resolved"
NOT_RESOLVED = "no"


def notify_label(names: Iterable[str], send_resolved: bool = True) -> dict[str, str]:
    """The labels for these receivers, each once; no label for what is usual.

    >>> notify_label(["team-mail", "team-slack", "team-mail"]), notify_label([])
    ({'notify': ',team-mail,team-slack,'}, {})
    >>> notify_label([], send_resolved=False)
    {'notify_resolved': 'no'}
    """
    unique = sorted(set(names))
    named = {LABEL: f",{','.join(unique)},"} if unique else {}
    return named if send_resolved else named | {RESOLVED_LABEL: NOT_RESOLVED}


def notified(labels: Mapping[str, str]) -> frozenset[str]:
    """The receivers that an alert's labels name."""
    return frozenset(labels.get(LABEL, "").split(",")) - {""}


def pattern(name: str) -> str:
    """The anchored regular expression that the label matches when it names `name`, which needs no escaping."""
    return f".*,{name},.*"


def targets(slo: Slo) -> frozenset[str]:
    """Every receiver that the SLO or one of its conditions names."""
    return frozenset(slo.notify).union(*(condition.notify for condition in slo.conditions or ()))
