"""What a probe can try, a class each: `run(deadline)` returns the seconds that the promise is about, or raises."""

from __future__ import annotations

from typing import Protocol

from monitoring.probes.failures import Deadline


class Probe(Protocol):
    """Runs may overlap; each must be through by its deadline."""

    def run(self, deadline: Deadline) -> float:
        """Seconds from what a person does to what they see. Raises what `failures.reason` has a word for."""
        ...
