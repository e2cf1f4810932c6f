"""The shape of OpenSLO v1 documents.

Field names are those of https://github.com/OpenSLO/OpenSLO; a field that is not
declared is told, so nothing in a spec is silently without effect. `apiVersion` and
`kind` are read first, by whoever decides which of these a document is. What is here
is only the shape; what the values mean is for the modules that build from it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec

from monitoring.yamltree import AsWritten, Node

API_VERSION = "openslo/v1"

Description = Annotated[str, msgspec.Meta(max_length=1050)]
Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["one line of text"])
]
"""Any text of one line. What an SLO may be called is stricter, see names.py."""
Operator = Literal["lt", "lte", "gt", "gte"]


class Struct(msgspec.Struct, rename="camel"):
    """OpenSLO writes its names in camelCase."""


class Metadata(Struct):
    name: Name
    display_name: str | None = None
    labels: dict[str, Node] = {}
    annotations: dict[str, AsWritten] = {}


class ServiceSpec(Struct):
    description: Description = ""


class ServiceDocument(Struct):
    metadata: Metadata
    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)


class DataSourceSpec(Struct):
    type: Name
    connection_details: Node | None = None
    description: Description = ""


class DataSourceDocument(Struct):
    metadata: Metadata
    spec: DataSourceSpec


class MetricSource(Struct):
    spec: dict[str, Node]
    type: Name | None = None
    metric_source_ref: Name | None = None


class Metric(Struct):
    metric_source: MetricSource


class RatioMetric(Struct):
    counter: bool | None = None
    total: Metric | None = None
    good: Metric | None = None
    bad: Metric | None = None
    raw: Metric | None = None
    raw_type: Literal["success", "failure"] | None = None


class IndicatorSpec(Struct):
    ratio_metric: RatioMetric | None = None
    threshold_metric: Metric | None = None
    description: Description = ""


class IndicatorDocument(Struct):
    metadata: Metadata
    spec: IndicatorSpec


class CalendarStart(Struct):
    start_time: AsWritten
    time_zone: Name


class TimeWindow(Struct):
    duration: AsWritten
    is_rolling: bool | None = None
    calendar: CalendarStart | None = None


class Objective(Struct):
    display_name: str = ""
    op: Operator | None = None
    value: Decimal | None = None
    target: Decimal | None = None
    target_percent: Decimal | None = None
    time_slice_target: Decimal | None = None
    time_slice_window: AsWritten | None = None
    indicator: IndicatorDocument | None = None
    indicator_ref: Name | None = None
    composite_weight: Decimal | None = None


class TargetSpec(Struct):
    target: Name
    description: Description = ""


class TargetDocument(Struct):
    metadata: Metadata
    spec: TargetSpec


class TargetEntry(Struct):
    """In a policy: a reference, or the whole object."""

    bare: ClassVar[str] = "target_ref"
    target_ref: Name | None = None
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: Metadata | None = None
    spec: TargetSpec | None = None


class Burnrate(Struct):
    threshold: Decimal
    lookback_window: AsWritten
    kind: Literal["burnrate"] = "burnrate"
    op: Operator | None = None
    alert_after: AsWritten = AsWritten("0m")


class ConditionSpec(Struct):
    severity: Name
    condition: Burnrate
    description: Description = ""


class ConditionDocument(Struct):
    metadata: Metadata
    spec: ConditionSpec


class ConditionEntry(Struct):
    bare: ClassVar[str] = "condition_ref"
    condition_ref: Name | None = None
    kind: Literal["AlertCondition"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None
    operator: str | None = None


class PolicySpec(Struct):
    conditions: tuple[ConditionEntry, ...]
    notification_targets: tuple[TargetEntry, ...]
    description: Description = ""
    alert_when_breaching: bool = True
    alert_when_no_data: bool = False
    alert_when_resolved: bool = False


class PolicyDocument(Struct):
    metadata: Metadata
    spec: PolicySpec


class PolicyEntry(Struct):
    bare: ClassVar[str] = "alert_policy_ref"
    alert_policy_ref: Name | None = None
    kind: Literal["AlertPolicy"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None


class SloSpec(Struct):
    service: Name
    objectives: tuple[Objective, ...]
    budgeting_method: Literal["Occurrences", "Timeslices", "RatioTimeslices"] | None = None
    indicator: IndicatorDocument | None = None
    indicator_ref: Name | None = None
    time_window: tuple[TimeWindow, ...] = ()
    description: Description = ""
    alert_policies: tuple[PolicyEntry, ...] = ()


class SloDocument(Struct):
    metadata: Metadata
    spec: SloSpec


Document = (
    ServiceDocument
    | DataSourceDocument
    | IndicatorDocument
    | ConditionDocument
    | TargetDocument
    | PolicyDocument
    | SloDocument
)

KINDS: dict[str, type[Document]] = {
    "SLO": SloDocument,
    "SLI": IndicatorDocument,
    "Service": ServiceDocument,
    "DataSource": DataSourceDocument,
    "AlertPolicy": PolicyDocument,
    "AlertCondition": ConditionDocument,
    "AlertNotificationTarget": TargetDocument,
}
