"""What a tally of slices means for an objective; pure."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.maths.burn import error_budget
from monitoring.prometheus.slices import Tally
from monitoring.spec.model import Slo


@dataclass(frozen=True)
class Budget:
    """A tally against the objective; shares of 1."""

    tally: Tally
    attainment: float | None
    """None without events."""
    spent: float
    """Share of the budget: above 1 when overspent, 0 without events."""

    @property
    def remaining(self) -> float:
        """1 - spent."""
        return 1 - self.spent


def budget(slo: Slo, tally: Tally) -> Budget:
    """A tally against the objective."""
    ratio = tally.ratio
    if ratio is None:
        return Budget(tally, None, 0.0)
    return Budget(tally, 1 - ratio, ratio / float(error_budget(slo.target)))
