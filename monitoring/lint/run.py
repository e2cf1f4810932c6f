"""Every rule over one dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitoring.lint.model import Finding, Json, Known, Rule
from monitoring.lint.read import Dashboard

RULES: Sequence[Rule] = ()
"""All rules, in the order of the documentation."""


def lint(board: Json, known: Known = Known(), rules: Iterable[Rule] = RULES) -> list[Finding]:  # noqa: B008  frozen
    """Everything wrong with a dashboard, the worst of a place first; empty when it is right."""
    read = Dashboard(board)
    found = [
        Finding(rule, hit.severity or rule.severity, hit.pointer, hit.message, *_whose(read, hit.pointer))
        for rule in rules
        for hit in rule.check(read, known)
    ]
    return sorted(found, key=lambda one: (-one.severity, one.pointer, one.rule.id))


def _whose(board: Dashboard, pointer: str) -> tuple[str | None, int | None, str | None]:
    """Title and id of the innermost panel a pointer lies in, and the letter of its query."""
    panels = [one for one in board.panels if f"{pointer}/".startswith(f"{one.pointer}/")]
    if not panels:
        return None, None, None
    panel = max(panels, key=lambda one: len(one.pointer))
    target = next((one for one in panel.targets if f"{pointer}/".startswith(f"{one.pointer}/")), None)
    id_ = panel.json.get("id")
    return panel.title, id_ if isinstance(id_, int) else None, target.ref_id if target else None
