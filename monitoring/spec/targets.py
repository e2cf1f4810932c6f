"""The label by which an alert names its receivers: `notify=",team-slack,team-mail,"`.

A label has one value, and an SLO may name several receivers. With commas around each
name, one route a receiver finds its own name and never part of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from monitoring.spec.model import Slo

LABEL = "notify"


def notify_label(names: Iterable[str]) -> dict[str, str]:
    """The label for these receivers, each once; no label for none.

    >>> notify_label(["team-mail", "team-slack", "team-mail"]), notify_label([])
    ({'notify': ',team-mail,team-slack,'}, {})
    """
    unique = sorted(set(names))
    return {LABEL: f",{','.join(unique)},"} if unique else {}


def notified(labels: Mapping[str, str]) -> frozenset[str]:
    """The receivers that an alert's labels name."""
    return frozenset(labels.get(LABEL, "").split(",")) - {""}


def pattern(name: str) -> str:
    """The anchored regular expression that the label matches when it names `name`, which needs no escaping."""
    return f".*,{name},.*"


def targets(slo: Slo) -> frozenset[str]:
    """Every receiver that the SLO or one of its conditions names."""
    return frozenset(slo.notify).union(*(condition.notify for condition in slo.conditions or ()))
