"""Maintenance: spans of time in which bad events were agreed on beforehand.

One YAML file feeds Alertmanager (nobody is paged), on-call and the mathematics (the
budget is told with and without them). A span is declared before it starts; whoever
corrects the record later says who and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitoring.spec.model import Slo


@dataclass(frozen=True)
class Maintenance:
    """One span, `start` <= t < `end`, both aware; without services and SLOs it covers everything."""

    id: str
    start: datetime
    end: datetime
    author: str
    reason: str
    services: frozenset[str] = frozenset()
    slos: frozenset[str] = frozenset()
    correction: bool = False
    """Declared after it had started."""
    file: str = ""
    line: int = 1

    def covers(self, slo: Slo) -> bool:
        """Whether bad events of this SLO were agreed on."""
        if not self.services and not self.slos:
            return True
        return slo.service.name in self.services or slo.name in self.slos
