"""Which metrics there are, with their types and labels: what `--metrics SOURCE` brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One family: its type as Prometheus names it ("counter", "gauge", "histogram", "summary", "unknown")."""

    type: str
    labels: Mapping[str, frozenset[str]]
    """Label names with the values seen; `job` and `instance` only where the source has them."""


@dataclass(frozen=True)
class Metrics:
    """Families by name; a histogram's is without `_bucket`, `_count` and `_sum`."""

    source: str
    families: Mapping[str, Metric]
