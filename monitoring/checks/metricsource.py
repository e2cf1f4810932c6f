"""`--metrics SOURCE`: which metrics there are, by a live Prometheus or a file in the text exposition format."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from monitoring.errors import InputError, Mistake
from monitoring.lint.metrics import Metric, Metrics
from monitoring.paths import shown
from monitoring.prometheus.client import Client

_PARTS = ("_bucket", "_count", "_sum")
_MAX_VALUES = 50
"""Values of a label that are kept; more are an id, and nobody matches those."""
_TIMEOUT_S = 30


class MetricSourceError(InputError):
    """A source of metrics that cannot be read."""


def read(source: str) -> Metrics:
    """The metrics of a URL or a file. Raises MetricSourceError or PrometheusError, which name it."""
    return _live(source) if source.startswith(("http://", "https://")) else _file(Path(source))


def _file(path: Path) -> Metrics:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MetricSourceError([Mistake(shown(path), None, f"cannot be read: {error}")]) from error
    # Without its end an OpenMetrics text is not whole; the older format has none.
    parse = openmetrics if text.rstrip().endswith("# EOF") else plain
    families: dict[str, Metric] = {}
    try:
        for family in parse(text):
            labels: dict[str, set[str]] = defaultdict(set)
            for sample in family.samples:
                if sample.name.endswith("_created") and family.type != "unknown":
                    continue
                for name, value in sample.labels.items():
                    labels[name].add(value)
            # The parsers take the ending of counters off; queries name it.
            is_counter = family.type == "counter" and any(one.name.endswith("_total") for one in family.samples)
            counter = is_counter or (family.type == "counter" and not family.samples)
            name = f"{family.name}_total" if counter and not family.name.endswith("_total") else family.name
            families[name] = Metric(family.type, {key: frozenset(values) for key, values in labels.items()})
    except ValueError as error:
        raise MetricSourceError([Mistake(shown(path), None, f"not in the text exposition format: {error}")]) from error
    if not families:
        raise MetricSourceError([Mistake(shown(path), None, "holds no metric")])
    return Metrics(shown(path), families)


def _live(url: str) -> Metrics:
    """Names, types and labels as a Prometheus knows them now: three questions, whatever it holds."""
    client = Client(url, timeout_s=_TIMEOUT_S)
    told = client.metadata()
    labels: dict[str, dict[str, set[str]]] = {}
    for series in client.series():
        name = series.pop("__name__", "")
        into = labels.setdefault(name, defaultdict(set))
        for label, value in series.items():
            if len(into[label]) < _MAX_VALUES:
                into[label].add(value)
    families: dict[str, Metric] = {}
    for name, found in labels.items():
        family, kind = _family(name, told)
        known = families.get(family)
        merged = {label: frozenset(values) for label, values in found.items()}
        for label, values in (known.labels if known else {}).items():
            merged[label] = merged.get(label, frozenset()) | values
        families[family] = Metric(kind, merged)
    return Metrics(client.shown_url, families, is_live=True)


def _family(name: str, told: dict[str, str]) -> tuple[str, str]:
    """The family a series name belongs to, and its type; recorded series are of none, and of a type nobody told."""
    if name in told:
        return name, told[name]
    for part in _PARTS:
        base = name.removesuffix(part)
        if name.endswith(part) and told.get(base) in ("histogram", "summary", "gaugehistogram"):
            return base, told[base]
    # Scraped as OpenMetrics a counter's family has no ending.
    if name.endswith("_total") and told.get(name.removesuffix("_total")) == "counter":
        return name, "counter"
    return name, "unknown"
