"""What a rule is, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitoring.lint.metrics import Metrics
    from monitoring.lint.read import Dashboard

Json = Mapping[str, Any]


class Severity(IntEnum):
    """How much it matters; greater is worse."""

    NOTE = 0
    """Worth knowing; hidden unless asked for."""
    WARNING = 1
    """Harder to read, or likely not what is meant."""
    ERROR = 2
    """Shows the wrong thing, or nothing."""


@dataclass(frozen=True)
class Hit:
    """One place where a rule does not hold: its JSON pointer, and what is there."""

    pointer: str
    message: str
    severity: Severity | None = None
    """In place of the rule's own, where this place is a milder or a worse case."""


@dataclass(frozen=True)
class Known:
    """What is known beside the dashboard itself."""

    metrics: Metrics | None = None
    """Every metric with its type and labels; None when nobody was asked."""
    datasources: frozenset[str] | None = None
    """The uids and names of data sources that exist; None when nobody said."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Expanded expressions that a second parser, promtool, refuses, with its words."""


@dataclass(frozen=True)
class Rule:
    """`id` is forever: exclusions name it. `reason` says why anybody should care, in one sentence."""

    id: str
    severity: Severity
    reason: str
    check: Callable[[Dashboard, Known], Iterator[Hit]]


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a dashboard, and whom it concerns; for exclusions and every output."""

    rule: Rule
    severity: Severity
    pointer: str
    message: str
    panel: str | None = None
    """The panel's title, where it lies in one."""
    panel_id: int | None = None
    ref_id: str | None = None

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message} [{self.rule.id}]"


@dataclass
class Rules:
    """The rules of one module, in the order they are written."""

    rules: list[Rule] = field(default_factory=list)

    def rule(
        self, id_: str, severity: Severity, reason: str
    ) -> Callable[[Callable[[Dashboard, Known], Iterator[Hit]]], Callable[[Dashboard, Known], Iterator[Hit]]]:
        """Declare the decorated function to be a rule."""

        def declare(check: Callable[[Dashboard, Known], Iterator[Hit]]) -> Callable[[Dashboard, Known], Iterator[Hit]]:
            self.rules.append(Rule(id_, severity, reason, check))
            return check

        return declare
