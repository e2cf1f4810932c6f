"""OpenSLO v1alpha, as far as it is still found: SLO and Service.

Its objectives hold their queries themselves and its window counts units; the rest is
as in v1.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Literal

import msgspec

from monitoring.maths.durations import Duration
from monitoring.spec import extensions, indicators, slos, windows
from monitoring.spec.indicators import Asked, Threshold
from monitoring.spec.model import SimpleSli, Slo
from monitoring.spec.openslo import CalendarStart, Description, Metadata, Name, Operator, ServiceDocument, Struct
from monitoring.spec.references import Library
from monitoring.spec.windows import Period
from monitoring.yamltree import Place

API_VERSION = "openslo/v1alpha"

SLICE = Duration(60)
"""Of Timeslices, leniently."""

_UNITS = {"Second": "s", "Day": "d", "Week": "w", "Month": "M", "Quarter": "Q"}


class Query(Struct):
    query: str
    source: Name = "prometheus"
    query_type: str = ""
    """`promql`, `query` and the like; whether it is PromQL, parsing tells."""


class Ratio(Struct):
    good: Query
    total: Query
    incremental: bool | None = None
    counter: bool | None = None


class Indicator(Struct):
    threshold_metric: Query


class Objective(Struct):
    target: Decimal
    display_name: str = ""
    op: Operator | None = None
    value: Decimal | None = None
    ratio_metrics: Ratio | None = None
    time_slice_target: Decimal | None = None


class TimeWindow(Struct):
    unit: Literal["Second", "Day", "Week", "Month", "Quarter"]
    count: int
    is_rolling: bool | None = None
    calendar: CalendarStart | None = None


class SloSpec(Struct):
    service: Name
    budgeting_method: Literal["Occurrences", "Timeslices"]
    objectives: tuple[Objective, ...]
    time_windows: tuple[TimeWindow, ...]
    indicator: Indicator | None = None
    description: Description = ""


class SloDocument(Struct):
    metadata: Metadata
    spec: SloSpec


KINDS: dict[str, type[msgspec.Struct]] = {"SLO": SloDocument, "Service": ServiceDocument}


def build(library: Library, document: SloDocument, place: Place) -> tuple[Slo, ...]:
    """The SLOs of a document; none when something was refused, or left out as not understood."""
    spec, here = document.spec, place.at("spec")
    extras = extensions.read(
        document.metadata.annotations, lambda key, message: place.at("metadata", "annotations", key).error(message)
    )
    sliced = spec.budgeting_method == "Timeslices"
    if sliced:
        here.at("budgetingMethod").doubt(
            "Timeslices need a timeSliceWindow, for which v1alpha has no field; use openslo/v1",
            f"slices of {SLICE} are taken",
        )
    period = _period(here.at("timeWindows"), spec.time_windows)
    base = slos.basis(library, place, document.metadata, spec.service, spec.description, extras, period)
    made = []
    for i, objective in enumerate(spec.objectives):
        spot = here.at("objectives", i)
        goal = slos.possible(spot.at("target"), objective.target)
        sli = _sli(spec, objective, here, spot)
        if goal is not None and sli is not None:
            slices = slos.slices(spot, "Timeslices", objective.time_slice_target, str(SLICE), base) if sliced else None
            slo = replace(base, target=goal, sli=sli, slices=slices)
            made.append(slos.named(slo, objective.display_name, i) if len(spec.objectives) > 1 else slo)
    if not spec.objectives:
        here.at("objectives").error("expected at least one objective")
    return tuple(made)


def _sli(spec: SloSpec, objective: Objective, here: Place, spot: Place) -> SimpleSli | None:
    if (spec.indicator is None) == (objective.ratio_metrics is None):
        spot.error("expected either ratioMetrics here or an indicator of the SLO")
        return None
    if spec.indicator:
        asked = _ask(here.at("indicator", "thresholdMetric"), spec.indicator.threshold_metric)
        threshold = Threshold(spot, objective.op, objective.value)
        return indicators.of_threshold(asked, threshold, False) if asked else None
    ratio, there = objective.ratio_metrics, spot.at("ratioMetrics")
    if ratio is None:
        return None
    counter = ratio.counter if ratio.incremental is None else ratio.incremental
    total, good = _ask(there.at("total"), ratio.total), _ask(there.at("good"), ratio.good)
    return indicators.of_events(total, good, None, counter)


def _ask(place: Place, query: Query) -> Asked | None:
    return indicators.ask(place.at("query"), query.query, query.source)


def _period(place: Place, found: tuple[TimeWindow, ...]) -> Period | None:
    if len(found) != 1:
        place.error(f"expected exactly one time window, found {len(found)}")
        return None
    window, here = found[0], place.at(0)
    text = f"{window.count}{_UNITS[window.unit]}"
    if window.calendar is None:
        if window.is_rolling is False:
            here.error("expected a calendar, with startTime and timeZone, since the window does not roll")
        return windows.rolling(here.at("count"), text)
    if window.is_rolling:
        here.at("isRolling").error("expected false: a window with a calendar does not roll")
        return None
    return windows.aligned(here.at("count"), here.at("calendar"), text, window.calendar)
