"""Reading specs for a command: strictly, or leniently with what is doubtful told as warnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitoring.errors import Mistake
from monitoring.rules.tiers import unwatched, without_impossible
from monitoring.spec import reader
from monitoring.spec.model import Slo


def read(paths: Sequence[Path], *, lenient: bool = False) -> tuple[tuple[Slo, ...], tuple[Mistake, ...]]:
    """Every SLO by name, and the warnings. Raises SpecError.

    Leniently, an alert that can never fire or would fire inside the budget is left out
    with a warning; strictly it is refused when the rules are made.
    """
    found = reader.read(paths, strict=not lenient)
    warnings = (*found.warnings, *(warning for slo in found.slos if (warning := unwatched(slo))))
    if not lenient:
        return found.slos, warnings
    kept = [without_impossible(slo) for slo in found.slos]
    left_out = [warning for _, why in kept for warning in why]
    return tuple(slo for slo, _ in kept), (*warnings, *left_out)
