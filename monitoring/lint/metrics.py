"""Which metrics there are, with their types and labels: what `--metrics SOURCE` brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_PARTS = ("_bucket", "_count", "_sum")
_TARGET_LABELS = frozenset({"job", "instance"})


@dataclass(frozen=True)
class Metric:
    """One family: its type as Prometheus names it ("counter", "gauge", "histogram", "summary", "unknown")."""

    type: str
    labels: Mapping[str, frozenset[str]]
    """Label names with the values seen; `job` and `instance` only where the source has them."""


@dataclass(frozen=True)
class Series:
    """What one series name is: "counter", "gauge", "histogram" (a native one) or "unknown", and its label names."""

    kind: str
    labels: frozenset[str]


@dataclass(frozen=True)
class Metrics:
    """Families by name; a histogram's is without `_bucket`, `_count` and `_sum`."""

    source: str
    families: Mapping[str, Metric]
    is_live: bool = False
    """Whether the labels are those in a Prometheus; a file has not yet what scraping adds."""

    def series(self, name: str) -> Series | None:
        """What may be asked under a name; None when there is no such series."""
        if found := self.families.get(name):
            labels = frozenset(found.labels) | _TARGET_LABELS
            kind = {"counter": "counter", "gauge": "gauge", "summary": "gauge"}.get(found.type, "unknown")
            # Of a classic histogram nothing has the bare name.
            return Series("histogram" if found.type in ("histogram", "gaugehistogram") else kind, labels)
        for part in _PARTS:
            base = self.families.get(name.removesuffix(part)) if name.endswith(part) else None
            if base and base.type in ("histogram", "gaugehistogram", "summary", "unknown", "untyped"):
                labels = frozenset(base.labels) | _TARGET_LABELS
                bounds = frozenset({"le"}) if part == "_bucket" else frozenset()
                return Series("counter", (labels - {"le", "quantile"}) | bounds)
        if name.endswith("_total") and (found := self.families.get(name.removesuffix("_total"))):
            return Series("counter", frozenset(found.labels) | _TARGET_LABELS) if found.type == "counter" else None
        return None

    def names(self) -> list[str]:
        """Every family, for guesses."""
        return sorted(self.families)
