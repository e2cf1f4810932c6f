"""Reads slices: those that were recorded, and those that the rules would record."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.maths.durations import Duration
from monitoring.prometheus import slices
from monitoring.prometheus.client import MAX_POINTS, Client, Point
from monitoring.prometheus.slices import Rhythm, Slice
from monitoring.rules import names
from monitoring.rules.inline import inlined, recorded
from monitoring.rules.model import Group
from monitoring.spec.model import Slo

POINTS_AT_ONCE = 2000
"""Fewer than Prometheus allows: each point reads raw samples, and a query ends after two minutes."""


def read_slices(client: Client, slo: Slo, rhythm: Rhythm, start: float, end: float) -> list[Slice]:
    """Every slice that ends in start < t <= end; they may overlap. Raises PrometheusError."""
    errors, events = (
        _only(client, names.of(name, slo.name), start, end, rhythm.interval * MAX_POINTS)
        for name in (names.SLICE_ERRORS, names.SLICE_EVENTS)
    )
    return slices.slices(errors, events)


def _only(client: Client, selector: str, start: float, end: float, at_once_s: float) -> list[Point]:
    # A renamed service gives its SLO's slices another label from then on; they are still the SLO's.
    return [point for series in client.raw(selector, start, end, at_once_s) for point in series.points]


def computed_slices(
    client: Client, slo: Slo, groups: Sequence[Group], rhythm: Rhythm, first: float, last: float
) -> list[Slice]:
    """What the rules would have recorded at first, first + interval, … <= last, from raw data.

    Moments without raw data are left out. Raises PrometheusError, PromqlError.
    """
    errors, events = (
        _values(
            client,
            while_scraped(slo, inlined(names.of(name, slo.name), recorded(groups)), rhythm.length),
            first,
            last,
            rhythm.interval,
        )
        for name in (names.SLICE_ERRORS, names.SLICE_EVENTS)
    )
    return slices.slices(errors, events)


def while_scraped(slo: Slo, expr: str, window: Duration) -> str:
    """Without a sample where Prometheus scraped nothing over `window`, for an SLO to which silence is bad.

    Rules do not run while Prometheus is down; looked at afterwards, that time would be silent.
    """
    return f"({expr})\nand on () count(count_over_time(up[{window}]))" if slo.no_traffic == "bad" else expr


def _values(client: Client, expr: str, first: float, last: float, step_s: float) -> list[Point]:
    return [point for one in client.range(expr, first, last, step_s, POINTS_AT_ONCE) for point in one.points]
