"""From what a spec says of its metrics to one of our kinds of SLI.

| written | becomes |
|---|---|
| good or bad, and total | `EventSli` |
| raw, a gauge from 0 to 1 | `EventSli` over its samples |
| raw, an expression with ranges | `RatioSli` |
| raw, an expression of one moment | `SampleSli` |
| threshold on a classic histogram's `_bucket`, or a declared native histogram | `EventSli` |
| threshold on anything else | `SampleSli`: the share of series beyond the value, at this moment |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from monitoring.errors import PromqlError
from monitoring.maths.decimals import plain
from monitoring.promql import Matcher, Selector, is_counter
from monitoring.spec import extensions, queries
from monitoring.spec.model import WINDOW, EventSli, Query, RatioSli, SampleSli, SimpleSli
from monitoring.spec.openslo import IndicatorSpec, Metric, Operator, RatioMetric
from monitoring.spec.queries import Written
from monitoring.spec.references import Library
from monitoring.yamltree import Place, unknown

QUERY_FIELDS = ("query", "promql")

PROMQL_TYPES = frozenset(("prometheus", "promql", "thanos", "mimir", "cortex", "victoriametrics", "managedprometheus"))
"""Types whose queries are PromQL for sure; of any other, a query that does not parse is of another language."""

_BEYOND: dict[Operator, str] = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}
"""What is true of a value that misses the objective."""


@dataclass(frozen=True)
class Asked:
    """A query that parses, and where it stands."""

    written: Written
    place: Place

    def events(self, counter: bool | None) -> Query | None:
        """The number of events it counts; None when refused."""
        try:
            return queries.events(self.written, counter, self.place.doubt, self.place.warn)
        except PromqlError as error:
            self.place.error(str(error))
            return None


@dataclass(frozen=True)
class Threshold:
    """What an objective asks of a threshold metric, and where."""

    place: Place
    op: Operator | None
    value: Decimal | None


def ask(place: Place, text: str, kind: str = "Prometheus") -> Asked | None:
    """Read a query of a source of this type; None when refused, or doubted since it is no PromQL."""
    try:
        return Asked(queries.read(text), place)
    except PromqlError as error:
        _foreign(place, kind, f"no PromQL, the only language that is read here: {error}")
        return None


def check(spec: IndicatorSpec, place: Place) -> None:
    """Refuse an indicator whose fields contradict each other, whether an SLO uses it or not."""
    ratio, here = spec.ratio_metric, place.at("ratioMetric")
    if (ratio is None) == (spec.threshold_metric is None):
        place.error("expected exactly one of ratioMetric and thresholdMetric")
    if ratio is None:
        return
    if ratio.raw is None:
        if ratio.total is None:
            here.error("the field 'total' is missing, or 'raw'")
        if (ratio.good is None) == (ratio.bad is None):
            here.error("expected exactly one of good and bad")
        if ratio.raw_type:
            here.at("rawType").warn("has no effect without raw")
        return
    if ratio.good or ratio.bad or ratio.total:
        here.error("expected either raw, or total with good or bad; found both")
    if ratio.raw_type is None:
        here.error("the field 'rawType' is missing: raw needs to say success or failure")


def build(
    library: Library, spec: IndicatorSpec, place: Place, threshold: Threshold, native_histogram: bool
) -> SimpleSli | None:
    """The SLI of a checked spec; None when it was refused, or is left out since its query is in another language."""
    if spec.ratio_metric:
        if threshold.op or threshold.value is not None:
            threshold.place.warn("op and value have no effect on a ratioMetric")
        return _ratio(library, spec.ratio_metric, place.at("ratioMetric"))
    if spec.threshold_metric:
        asked = _asked(library, spec.threshold_metric, place.at("thresholdMetric"))
        return of_threshold(asked, threshold, native_histogram) if asked else None
    return None


def native(annotations: Mapping[str, str], place: Place) -> bool:
    """Whether an SLI's annotations declare a native histogram; other keys of ours are refused here."""
    for key in annotations:
        if key.startswith(extensions.PREFIX) and key != extensions.NATIVE_HISTOGRAM:
            place.at(key).error(f"of ours, an SLI may only have {extensions.NATIVE_HISTOGRAM}; write this at the SLO")
            return False
    return extensions.read(annotations, lambda key, message: place.at(key).error(message)).native_histogram


def of_events(total: Asked | None, good: Asked | None, bad: Asked | None, counter: bool | None) -> EventSli | None:
    """Good or bad events of all; None when something was refused."""
    counts = [asked.events(counter) if asked else None for asked in (total, good, bad)]
    if bad and _is_within_bound(bad.written):
        bad.place.doubt(
            "a bucket counts what is within its bound, so this makes the quick ones bad; subtract it from all"
        )
    for name, part in (("good", good), ("bad", bad)):
        if part and total and part.written.text == total.written.text:
            part.place.warn(f"counts the same as the total, so every event is {name}")
    return EventSli(counts[0], counts[1], counts[2]) if counts[0] and (counts[1] or counts[2]) else None


def _is_within_bound(written: Written) -> bool:
    """Whether a query counts nothing but one bucket of a histogram, and not the one of all."""
    only = written.selectors[0]
    bound = only.value_of("le")
    return len(written.selectors) == 1 and only.name.endswith("_bucket") and bound not in (None, "+Inf")


def of_raw(asked: Asked, success: bool) -> SimpleSli | None:
    """A ratio that someone else computed, of successes or of failures; None when refused."""
    written, place = asked.written, asked.place
    selector = written.plain
    if selector:
        if is_counter(selector.name):
            place.doubt(f"{selector.name} is a counter by its name, and no ratio")
        total, part = queries.samples(selector)
        return EventSli(total, good=part) if success else EventSli(total, bad=part)
    try:
        if written.has_range:
            return RatioSli(queries.ratio(written, success, place.doubt, place.warn))
    except PromqlError as error:
        place.error(str(error))
        return None
    text = queries.label_free(written.text, written.tree)
    return SampleSli(f"1 - ({text})" if success else text, written.selectors)


def of_threshold(asked: Asked, threshold: Threshold, native_histogram: bool) -> SimpleSli | None:
    """What compares a metric with a value; None when refused."""
    op, value = threshold.op, threshold.value
    if op is None:
        threshold.place.error("the field 'op' is missing: a thresholdMetric is compared, with lt, lte, gt or gte")
        return None
    if value is None:
        threshold.place.doubt("the field 'value' is missing, which a thresholdMetric needs", "compared with 0")
        value = Decimal(0)
    selector = asked.written.plain
    if native_histogram:
        if selector is None:
            asked.place.error("expected the plain selector of a native histogram, as its annotation says")
            return None
        return _native_latency(selector, op, value)
    if selector and selector.name.endswith("_bucket") and selector.value_of("le") is None:
        return _latency(selector, op, value)
    if selector and is_counter(selector.name):
        asked.place.doubt(f"{selector.name} is a counter by its name; its value only says when it began")
    try:
        text = queries.moment(asked.written)
    except PromqlError as error:
        asked.place.error(str(error))
        return None
    operand = text if selector else f"({text})"
    if queries.may_be_nan(asked.written.tree):
        # NaN would miss no objective; it says that there was nothing to judge, and so must be no sample.
        operand = f"({operand} >= -Inf)"
    return SampleSli(f"avg({operand} {_BEYOND[op]} bool {plain(value)})", asked.written.selectors)


def _ratio(library: Library, ratio: RatioMetric, place: Place) -> SimpleSli | None:
    if ratio.raw:
        asked = _asked(library, ratio.raw, place.at("raw"))
        return of_raw(asked, ratio.raw_type == "success") if asked else None
    roles = [("total", ratio.total), ("good", ratio.good), ("bad", ratio.bad)]
    total, good, bad = (_asked(library, metric, place.at(role)) if metric else None for role, metric in roles)
    return of_events(total, good, bad, ratio.counter)


def _asked(library: Library, metric: Metric, place: Place) -> Asked | None:
    """The query of a metric; None when refused, or doubted since it is no PromQL."""
    here, source = place.at("metricSource"), metric.metric_source
    kind = _source_type(library, here, source.type, source.metric_source_ref)
    if kind is None:
        return None
    field = next((name for name in QUERY_FIELDS if name in source.spec), None)
    query = source.spec[field] if field else None
    if field is None or query is None or not isinstance(query.value, str):
        found = ", ".join(source.spec) or "nothing"
        _foreign(here.at("spec"), kind, f"expected a query in PromQL under 'query', found {found} of the type {kind}")
        return None
    asked = ask(here.at("spec", field), query.text, kind)
    if asked is None:
        return None
    for name in source.spec:
        if name != field:
            here.at("spec", name).doubt(unknown("field", name, QUERY_FIELDS))
    return asked


def _foreign(place: Place, kind: str, message: str) -> None:
    """Refuse a query; one of a type that need not be PromQL is only doubted, and its SLO left out."""
    if re.sub(r"[-_ ]", "", kind.lower()) in PROMQL_TYPES:
        place.error(message)
    else:
        place.doubt(message, "the SLO is left out")


def _source_type(library: Library, place: Place, written: str | None, reference: str | None) -> str | None:
    if reference is None:
        if written is None:
            place.error("the field 'type' is missing, such as Prometheus, or a metricSourceRef")
        return written
    if written is not None and not library.names("DataSource"):
        return written  # the sources are declared somewhere else; the type says all we need
    declared = library.source_type(place.at("metricSourceRef"), reference)
    if written and declared and written.lower() != declared.lower():
        place.at("type").doubt(f"the DataSource {reference!r} is of the type {declared}, not {written}")
    return written or declared


def _latency(selector: Selector, op: Operator, value: Decimal) -> EventSli:
    """Of a classic histogram. A bucket holds what is at most its bound, so lt and lte are the same, as are gt and gte.

    The total is the bucket of +Inf and not `_count`: whatever has kept the one has kept the other.
    """
    within = queries.increase(_with(selector, _bound(value)))
    total = queries.increase(_with(selector, Matcher("le", "=", "+Inf")))
    return EventSli(total, good=within) if op in ("lt", "lte") else EventSli(total, bad=within)


def _with(selector: Selector, matcher: Matcher) -> Selector:
    return Selector(selector.name, (*selector.matchers, matcher))


def _bound(value: Decimal) -> Matcher:
    """The bucket of this bound; clients write whole numbers as 1 or 1.0, and great ones as 1e+06."""
    text = plain(value)
    spellings = [text]
    if "." not in text:
        spellings.append(rf"{text}\.0")
        if abs(value) >= 1_000_000:
            digits, exponent = f"{value.normalize():e}".split("e")
            spellings.append(rf"{digits.replace('.', chr(92) + '.')}e\+{int(exponent):02d}")
    elif abs(value) < Decimal("0.0001"):
        digits, exponent = f"{value.normalize():e}".split("e")
        spellings = [text.replace(".", r"\."), rf"{digits.replace('.', chr(92) + '.')}e-{-int(exponent):02d}"]
    return Matcher("le", "=", text) if len(spellings) == 1 else Matcher("le", "=~", "|".join(spellings))


def _native_latency(selector: Selector, op: Operator, value: Decimal) -> EventSli:
    """Of a native histogram, where a share of observations is interpolated at any value.

    Without observations that share is NaN, which `>= 0` leaves out.
    """
    grown = f"increase({selector}[{WINDOW}])"
    total = Query(f"sum(histogram_count({grown}))", (selector,))
    share = f"histogram_fraction(0, {plain(value)}, {grown})"
    within = Query(f"sum({share} * histogram_count({grown}) >= 0)", (selector,))
    return EventSli(total, good=within) if op in ("lt", "lte") else EventSli(total, bad=within)
