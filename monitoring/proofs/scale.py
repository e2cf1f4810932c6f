"""How small an SLO's windows may become in its proofs, and which alerts share a scale.

Each window must hold four scrapes, so the shortest decides the divisor, and the longest
costs the time: a promtool that looks at three days every scrape takes seconds. Alerts that
look at hours and alerts that look at days are therefore proven apart, each by rules of
the same generator for the same SLO with the others switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from monitoring.errors import OpaqueError
from monitoring.maths.durations import Duration
from monitoring.oracle.simulate import FRESH_WINDOW, SLICE
from monitoring.rules.profile import MIN_SCRAPES, Profile
from monitoring.rules.tiers import Burn, burns
from monitoring.spec.model import Slo

HOURS, DAYS = "hours", "days"

_LONGEST = Duration.parse("6h")
"""Alerts whose long window is at most this are proven together."""

_MOST_SCRAPES = 9000
"""In one window; promtool 2.42 refuses a query that reads 10,000 samples of a series."""

_MOST_EVALUATIONS = 240
"""In the longest window: one second of promtool."""

_FULL_SCRAPES = (60, 30, 15, 10, 5, 1)


@dataclass(frozen=True)
class Scale:
    """Some alerts of an SLO on one profile; `slo` has only those."""

    name: str
    slo: Slo
    profile: Profile

    @property
    def has_data_alerts(self) -> bool:
        """Whether the alerts about missing data are proven too; they are the same on every scale."""
        return self.name == HOURS

    def scrapes(self, window: Duration) -> int:
        """How many scrapes a window on this scale holds."""
        return -(-window // self.profile.scrape_interval)

    @property
    def every(self) -> int:
        """Scrapes from one evaluation to the next."""
        return self.profile.evaluation_interval // self.profile.scrape_interval


def scales(slo: Slo, profile: Profile, *, full: bool = False) -> tuple[Scale, ...]:
    """The scales of an SLO: `hours` and `days`, as far as it has such alerts.

    Windows are divided by as much as they can be, and scraped every second; `full` leaves
    them as they are and scrapes as rarely as they allow. Raises OpaqueError.
    """
    found = [
        Scale(name, part, _profile(part, profile, full))
        for name, part in (
            (HOURS, _only(slo, lambda burn: burn.long <= _LONGEST)),
            (DAYS, replace(_only(slo, lambda burn: burn.long > _LONGEST), threshold_window=None)),
        )
        if burns(part) or part.threshold_window
    ]
    if not found:
        raise OpaqueError("it has no alert to prove")
    return tuple(found)


def _only(slo: Slo, wanted: Callable[[Burn], bool]) -> Slo:
    unwanted = frozenset(burn.name for burn in burns(slo) if not wanted(burn))
    if slo.conditions is None:
        return replace(slo, disabled_tiers=slo.disabled_tiers | unwanted)
    return replace(slo, conditions=tuple(one for one in slo.conditions if one.name not in unwanted))


def _profile(slo: Slo, profile: Profile, full: bool) -> Profile:
    windows = [window for burn in burns(slo) for window in (burn.long, burn.short)]
    windows += [slo.threshold_window] if slo.threshold_window else []
    longest = max(windows)
    shortest = min([*windows, SLICE, FRESH_WINDOW, *([slo.slices.window] if slo.slices else [])])
    if shortest < MIN_SCRAPES:
        raise OpaqueError(f"its shortest window, {shortest}, holds no {MIN_SCRAPES} scrapes one second apart")
    scrape_s = next(s for s in _FULL_SCRAPES if s * MIN_SCRAPES <= shortest) if full else 1
    divisor = 1 if full else shortest // MIN_SCRAPES
    scrapes = longest // divisor // scrape_s
    if scrapes > _MOST_SCRAPES:
        raise OpaqueError(f"promtool cannot hold a window of {longest} beside one of {shortest}: {scrapes} scrapes")
    every = 1 if full else -(-scrapes // _MOST_EVALUATIONS)
    return replace(
        profile, scrape_interval=Duration(scrape_s), evaluation_interval=Duration(scrape_s * every), divisor=divisor
    )
