"""Every rule over one dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType

from monitoring.lint import board as whole
from monitoring.lint import (
    datasources,
    layout,
    legends,
    meaning,
    options,
    panels,
    quantities,
    queries,
    shape,
    thresholds,
    units,
    variables,
)
from monitoring.lint.model import Finding, Hit, Json, Known, Rule
from monitoring.lint.read import Dashboard

_MODULES: Sequence[ModuleType] = (
    shape, whole, layout, panels, variables, datasources, units, thresholds, options, queries, meaning, legends,
    quantities,
)  # fmt: skip

RULES: Sequence[Rule] = tuple(rule for module in _MODULES for rule in module.RULES.rules)
"""All rules, in the order of the documentation."""


def lint(board: Json, known: Known = Known(), rules: Iterable[Rule] = RULES) -> list[Finding]:  # noqa: B008  frozen
    """Everything wrong with a dashboard, the worst of a place first; empty when it is right."""
    read = Dashboard(board)
    found = [
        Finding(
            rule, rule.severity if hit.severity is None else hit.severity, hit.pointer, hit.message, *_whose(read, hit)
        )
        for rule in rules
        for hit in rule.check(read, known)
    ]
    return sorted(found, key=lambda one: (-one.severity, one.pointer, one.rule.id))


def _whose(board: Dashboard, hit: Hit) -> tuple[str | None, int | None, str | None]:
    """Title and id of the innermost panel a pointer lies in, and the letter of its query."""
    panels_ = [one for one in board.panels if f"{hit.pointer}/".startswith(f"{one.pointer}/")]
    if not panels_:
        return None, None, None
    panel = max(panels_, key=lambda one: len(one.pointer))
    target = next((one for one in panel.targets if f"{hit.pointer}/".startswith(f"{one.pointer}/")), None)
    id_ = panel.json.get("id")
    return panel.title, id_ if isinstance(id_, int) else None, target.ref_id if target else None
