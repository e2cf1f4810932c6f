"""Dashboards, whoever drew them, with the line of each thing that is wrong; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitoring.boards.validate import findings
from monitoring.checks.jsonlines import line_of, lines
from monitoring.checks.model import Finding

_BREAKING = {"shape", "promql", "variable", "ref-id", "panel-id", "grid"}
"""What makes a board show the wrong thing or nothing; the rest makes it harder to read."""


def check(file: str, text: str, value: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything wrong with one dashboard; `value` is what `text` says."""
    wrapped = isinstance(value.get("dashboard"), dict) and "panels" not in value
    found = findings(value["dashboard"] if wrapped else value)
    if not found:
        return
    places = lines(text)
    for one in found:
        pointer = ("/dashboard" if wrapped else "") + one.pointer
        message = " ".join(f"{one.message} [{one.rule}]".split())
        yield Finding(file, line_of(places, pointer), message, doubt=one.rule not in _BREAKING)
