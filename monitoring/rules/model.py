"""Prometheus rule files as plain values, and the only code that knows their YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from monitoring.maths.durations import Duration


@dataclass(frozen=True)
class Recording:
    """A recording rule; `labels` are added to every series it makes."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_yaml(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.record, "expr": self.expr} | ({"labels": dict(self.labels)} if self.labels else {})


@dataclass(frozen=True)
class Alert:
    """An alerting rule. `runbook` is the name of a page in docs/runbooks, without its suffix."""

    alert: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    hold: Duration | None = None
    """How long the expression must stay true (Prometheus' `for`)."""

    def to_yaml(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        hold = {"for": str(self.hold)} if self.hold else {}
        tail = {"labels": dict(self.labels), "annotations": dict(self.annotations)}
        return {"alert": self.alert, "expr": self.expr} | hold | tail


Rule = Recording | Alert


@dataclass(frozen=True)
class Group:
    """Rules evaluated one after the other, at one moment, every `interval`."""

    name: str
    interval: Duration
    rules: tuple[Rule, ...]

    def to_yaml(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"name": self.name, "interval": str(self.interval), "rules": [rule.to_yaml() for rule in self.rules]}


@dataclass(frozen=True)
class RuleFile:
    """One file of groups; `name` without suffix, `source` says what it was made from."""

    name: str
    source: str
    groups: tuple[Group, ...]

    @property
    def source_name(self) -> str:
        """The source without its folder, so that the text is the same wherever the project lies."""
        return PurePath(self.source).name

    def to_yaml(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"groups": [group.to_yaml() for group in self.groups]}

    def rules(self) -> list[Rule]:
        """Every rule, in order."""
        return [rule for group in self.groups for rule in group.rules]
