"""The shape of OpenSLO v1 documents, as far as they are understood here.

Field names are those of https://github.com/OpenSLO/OpenSLO; a field that is not
declared is refused, so nothing in a spec is silently without effect. `apiVersion` and
`kind` are read first, by whoever decides which of these a document is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from monitoring.maths.durations import Duration

API_VERSION = "openslo/v1"


class Struct(msgspec.Struct, rename="camel"):
    """OpenSLO writes its names in camelCase."""


class Metadata(Struct):
    name: str
    display_name: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str | int] = {}


class ServiceSpec(Struct):
    description: str = ""


class ServiceDocument(Struct):
    metadata: Metadata
    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)


class QuerySpec(Struct):
    query: str


class MetricSource(Struct):
    type: Literal["Prometheus"]
    spec: QuerySpec


class Metric(Struct):
    metric_source: MetricSource


class RatioMetric(Struct):
    counter: bool
    total: Metric
    good: Metric | None = None
    bad: Metric | None = None


class IndicatorSpec(Struct):
    ratio_metric: RatioMetric
    description: str = ""


class Indicator(Struct):
    metadata: Metadata
    spec: IndicatorSpec


class TimeWindow(Struct):
    duration: Duration
    is_rolling: bool


class Objective(Struct):
    target: Decimal
    display_name: str = ""


class SloSpec(Struct):
    service: str
    indicator: Indicator
    time_window: tuple[TimeWindow, ...]
    budgeting_method: str
    objectives: tuple[Objective, ...]
    description: str = ""


class SloDocument(Struct):
    metadata: Metadata
    spec: SloSpec
