"""What the rules must know of an environment: its rhythm, its scale, where its pages are.

A scaled profile divides every window by N and leaves the burn factors alone, so the
same generator gives rules that can be watched firing within seconds. A window must
hold four scrapes: with fewer, `increase` extrapolates from one or two samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration

MIN_SCRAPES = 4


@dataclass(frozen=True)
class Profile:
    """`divisor` is N; 1 in production."""

    scrape_interval: Duration
    evaluation_interval: Duration
    divisor: int
    runbook_url: str
    dashboard_url: str

    def window(self, nominal: Duration) -> Duration:
        """A window on this scale. Raises OutOfRangeError when it holds fewer than four scrapes."""
        scaled = nominal.divided(self.divisor)
        if scaled < MIN_SCRAPES * self.scrape_interval:
            raise OutOfRangeError(
                f"a window of {nominal} ÷ {self.divisor} = {scaled} holds fewer than {MIN_SCRAPES} scrapes "
                f"({self.scrape_interval} apart); lower window_divisor or scrape more often"
            )
        return scaled

    def hold(self, nominal: Duration) -> Duration:
        """A `for` on this scale; it may be as short as one second."""
        return nominal.divided(self.divisor)

    def interval(self, nominal: Duration) -> Duration:
        """A group's interval on this scale, never shorter than the evaluation interval."""
        return Duration(max(nominal.divided(self.divisor), self.evaluation_interval))

    def runbook(self, name: str) -> str:
        """Where a runbook is read."""
        return f"{self.runbook_url}{name}.md"

    def dashboard(self, uid: str) -> str:
        """Where a board is seen."""
        return f"{self.dashboard_url}{uid}"
