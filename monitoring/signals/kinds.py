"""Counters, gauges and histograms that render only the queries that make sense of them.

A gauge has no `rate`, a counter no bare value, and a quantile never forgets `le`:
the mistake cannot be written, and mypy says so. Labels are checked against the
declaration when the query is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from monitoring.errors import PromqlError
from monitoring.maths.decimals import plain
from monitoring.promql import Matcher, Selector

TARGET_LABELS = ("job", "instance")
"""What Prometheus adds to every series it scrapes."""


@dataclass(frozen=True)
class Scope:
    """Where a query is asked: the matchers every selector gets, and the range of its rates."""

    matchers: tuple[Matcher, ...] = ()
    range: str = "$__rate_interval"


@dataclass(frozen=True)
class Signal:
    """One metric: its name, what it tells, the labels it carries, its unit as Grafana names it."""

    name: str
    description: str
    unit: str = "short"
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def _select(self, scope: Scope, where: Mapping[str, str], suffix: str = "") -> str:
        for label, value in where.items():
            if value not in self.labels.get(label, ()):
                raise PromqlError(f"{self.name} has no {label}={value!r}")
        own = tuple(Matcher(label, "=", value) for label, value in where.items())
        return str(Selector(self.name + suffix, scope.matchers + own))

    def _by(self, labels: Iterable[str]) -> str:
        names = list(labels)
        if unknown := [n for n in names if n not in self.labels and n not in TARGET_LABELS]:
            raise PromqlError(f"{self.name} has no label {', '.join(unknown)}")
        return f" by ({', '.join(names)}) " if names else ""


_EVERYWHERE: Mapping[str, str] = {}


class Gauge(Signal):
    """Goes up and down; may be read, added up and compared."""

    def value(self, scope: Scope, where: Mapping[str, str] = _EVERYWHERE) -> str:
        """Each series as it is."""
        return self._select(scope, where)

    def sum(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """Added up over everything but `by`."""
        return f"sum{self._by(by)}({self._select(scope, where)})"

    def max(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """The highest over everything but `by`."""
        return f"max{self._by(by)}({self._select(scope, where)})"


class Counter(Signal):
    """Only grows; may be asked for its rate or its increase."""

    def rate(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """Per second, over the scope's range."""
        return f"sum{self._by(by)}(rate({self._select(scope, where)}[{scope.range}]))"

    def increase(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """How much it grew over the scope's range."""
        return f"sum{self._by(by)}(increase({self._select(scope, where)}[{scope.range}]))"


class Histogram(Signal):
    """Counts by size; may be asked for a quantile and for how many events it saw."""

    def quantile(self, q: Decimal, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """The q-quantile over the scope's range; NaN when nothing was observed."""
        groups = self._by(by).removeprefix(" by (").removesuffix(") ")
        grouped = f"le, {groups}" if groups else "le"
        buckets = self._select(scope, where, "_bucket")
        return f"histogram_quantile({plain(q)}, sum by ({grouped}) (rate({buckets}[{scope.range}])))"

    def quantile_or_zero(self, q: Decimal, scope: Scope, where: Mapping[str, str] = _EVERYWHERE) -> str:
        """The q-quantile; zero when nothing was observed, for what is rare and then took no time."""
        # A comparison with NaN is false, so the quantile of nothing falls out.
        return f"{self.quantile(q, scope, where=where)} >= 0 or 0 * {self.event_rate(scope, where=where)}"

    def buckets(self, scope: Scope, where: Mapping[str, str] = _EVERYWHERE) -> str:
        """Observations in each bucket over the scope's range, by `le`; for heatmaps."""
        return f"sum by (le) (increase({self._select(scope, where, '_bucket')}[{scope.range}]))"

    def event_rate(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """Observations per second."""
        return f"sum{self._by(by)}(rate({self._select(scope, where, '_count')}[{scope.range}]))"

    def events(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """How many observations there were over the scope's range."""
        return f"sum{self._by(by)}(increase({self._select(scope, where, '_count')}[{scope.range}]))"

    def total(self, scope: Scope, by: Iterable[str] = (), where: Mapping[str, str] = _EVERYWHERE) -> str:
        """What was observed over the scope's range, added up."""
        return f"sum{self._by(by)}(increase({self._select(scope, where, '_sum')}[{scope.range}]))"
