"""Defects as people make them: a change of a right board, the rules that may find it, where they must point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.scorecard.bases import JOB, SOURCE, Json, panel, today


@dataclass(frozen=True)
class Defect:
    """`rules`: any of them counts as finding it. `place`: what the pointer begins with."""

    name: str
    rules: tuple[str, ...]
    place: str
    change: Callable[[Json], Any]
    base: str = "today"


def first(board: Json) -> Json:
    """The first panel."""
    found: Json = board["panels"][0]
    return found


def asks(expr: str, **more: Any) -> Callable[[Json], None]:
    """The first panel's query says something else."""
    return lambda board: first(board)["targets"][0].update(expr=expr, **more)


def says(**more: Any) -> Callable[[Json], None]:
    """The first panel's defaults say something else."""
    return lambda board: first(board)["fieldConfig"]["defaults"].update(more)


def steps(*values: Any, mode: str = "absolute", **more: Any) -> Callable[[Json], None]:
    """The first panel's thresholds have these values."""
    colors = ("green", "orange", "red", "purple")
    made = [{"color": color, "value": value} for color, value in zip(colors, values, strict=False)]
    return says(thresholds={"mode": mode, "steps": made}, **more)


def variable(**more: Any) -> Callable[[Json], None]:
    """One more variable, which the first panel's description mentions."""

    def change(board: Json) -> None:
        board["templating"]["list"].append({"type": "query", "datasource": SOURCE} | more)
        first(board)["description"] += f" ${more['name']}"

    return change


def every(*changes: Callable[[Json], Any]) -> Callable[[Json], None]:
    """Several changes."""

    def change(board: Json) -> None:
        for one in changes:
            one(board)

    return change


P = "/panels/0"
QUERY = f"{P}/targets/0"
RATE = f"sum by (instance) (rate(shop_requests_total{{{JOB}}}[$__rate_interval]))"
BUCKETS = f"shop_request_duration_seconds_bucket{{{JOB}}}[$__rate_interval]"

DEFECTS = (
    # Layout and identity.
    Defect("overlapping panels", ("grid-overlap",), "/panels/1", lambda b: b["panels"][1]["gridPos"].update(x=6)),
    Defect("a panel on top of another", ("grid-overlap",), "/panels/", lambda b: b["panels"][4]["gridPos"].update(y=0)),
    Defect("overlap inside a collapsed row", ("grid-overlap",), "/panels/2/panels/",
           lambda b: b["panels"][2]["panels"][1]["gridPos"].update(x=2), "exported"),
    Defect("wider than the grid", ("grid-outside",), "/panels/1", lambda b: b["panels"][1]["gridPos"].update(w=16)),
    Defect("left of the grid", ("grid-outside",), P, lambda b: first(b)["gridPos"].update(x=-2)),
    Defect("no height", ("grid-size",), P, lambda b: first(b)["gridPos"].update(h=0)),
    Defect("no place", ("grid-missing",), P, lambda b: first(b).pop("gridPos")),
    Defect("two panels with one id", ("panel-id",), "/panels/1", lambda b: b["panels"][1].update(id=1)),
    Defect("one id inside a row and outside", ("panel-id",), "/panels/2/panels/",
           lambda b: b["panels"][2]["panels"][0].update(id=1), "exported"),
    Defect("two queries with one letter", ("ref-id",), f"{P}/targets/1",
           lambda b: first(b)["targets"].append(first(b)["targets"][0] | {"expr": "1 + " + RATE})),
    Defect("a row that is open and full", ("row-panels",), "/panels/2",
           lambda b: b["panels"][2].update(collapsed=False), "exported"),
    # The board.
    Defect("schema of 2016", ("schema-version",), "/schemaVersion", lambda b: b.update(schemaVersion=12)),
    Defect("no schema version", ("schema-version",), "/schemaVersion", lambda b: b.pop("schemaVersion")),
    Defect("a uid with a slash", ("uid-invalid",), "/uid", lambda b: b.update(uid="shop/overview")),
    Defect("a uid of 50 characters", ("uid-invalid",), "/uid", lambda b: b.update(uid="s" * 50)),
    Defect("no uid", ("uid-missing",), "/uid", lambda b: b.pop("uid")),
    Defect("no title", ("title-missing",), "/title", lambda b: b.update(title="")),
    Defect("editable", ("editable",), "/editable", lambda b: b.update(editable=True)),
    Defect("a time range backwards", ("time-range",), "/time", lambda b: b.update(time={"from": "now", "to": "now-1h"})),
    Defect("a refresh in words", ("refresh-invalid",), "/refresh", lambda b: b.update(refresh="10 sec")),
    Defect("a link without an address", ("link-invalid",), "/links/",
           lambda b: b["links"].append({"type": "link", "title": "Runbook", "url": ""})),
    Defect("panels as an object", ("json-shape",), "/panels", lambda b: b.update(panels={"a": {}})),
    Defect("a typo in the board's keys", ("unknown-key",), "/timezome", lambda b: b.update(timezome="utc")),
    # Panels.
    Defect("a panel type with a typo", ("panel-type",), P, lambda b: first(b).update(type="timseries")),
    Defect("a panel type that never was", ("panel-type",), P, lambda b: first(b).update(type="linechart")),
    Defect("an Angular panel in a board of today", ("panel-type-removed",), P,
           lambda b: first(b).update(type="graph", yaxes=[{"format": "reqps"}])),
    Defect("no description", ("description-missing",), P, lambda b: first(b).pop("description")),
    Defect("no queries", ("query-missing",), P, lambda b: first(b).update(targets=[])),
    Defect("an empty query", ("query-missing",), P, asks("")),
    Defect("an unknown key in a panel", ("unknown-key",), f"{P}/fieldconfig", lambda b: first(b).update(fieldconfig={})),
    Defect("options as a list", ("json-shape",), f"{P}/options", lambda b: first(b).update(options=["legend"])),
    Defect("every query hidden", ("all-hidden",), P, lambda b: first(b)["targets"][0].update(hide=True)),
    # Variables and data sources.
    Defect("a variable that is not there", ("variable-undefined",), QUERY,
           asks('sum(shop_queue_length{job=~"$jobb"})', legendFormat="x")),
    Defect("an undefined variable in a title", ("variable-undefined",), P, lambda b: first(b).update(title="On $region")),
    Defect("a repeat for nothing", ("variable-undefined",), P, lambda b: first(b).update(repeat="region")),
    Defect("a built-in with a typo", ("variable-undefined", "promql-syntax"), QUERY,
           asks(RATE.replace("$__rate_interval", "$__rate_intervall"))),
    Defect("a variable nobody uses", ("variable-unused",), "/templating/list/3",
           every(lambda b: b.update(links=[]), lambda b: b["templating"]["list"].append(
               {"name": "region", "type": "query", "datasource": SOURCE, "query": "label_values(shop_up_info, region)"}))),
    Defect("two variables of one name", ("variable-duplicate",), "/templating/list/3",
           variable(name="job", query="label_values(up, job)")),
    Defect("a variable that needs itself", ("variable-cycle",), "/templating/list/3",
           variable(name="path", query='label_values(shop_requests_total{path="$path"}, path)')),
    Defect("label_values without its bracket", ("variable-query", "promql-syntax"), "/templating/list/3",
           variable(name="path", query="label_values(shop_requests_total, path")),
    Defect("a data source that is written in", ("datasource-hard-coded",), P,
           lambda b: first(b).update(datasource={"type": "prometheus", "uid": "P4169E866C3094E38"})),
    Defect("a data source that is not there", ("datasource-hard-coded", "datasource-unknown"), P,
           lambda b: first(b).update(datasource="Promethues")),
    Defect("two data sources, not mixed", ("datasource-mixed",), P, lambda b: first(b)["targets"].append(
        {"refId": "B", "datasource": {"type": "loki", "uid": "logs"}, "expr": '{app="shop"}'})),
    Defect("Loki behind Prometheus' variable", ("datasource-kind",), QUERY,
           lambda b: first(b)["targets"][0].update(datasource={"type": "loki", "uid": "${datasource}"})),
    Defect("a rate of a rate", ("query-rate-of-aggregate",), QUERY,
           asks(f"sum by (instance) (rate(rate(shop_requests_total{{{JOB}}}[$__rate_interval])[1h:]))")),
    Defect("a place in words", ("json-shape",), P, lambda b: first(b)["gridPos"].update(x="0")),
    # Units, thresholds, options.
    Defect("no unit", ("unit-missing",), P, lambda b: first(b)["fieldConfig"]["defaults"].pop("unit")),
    Defect("a unit in words", ("unit-unknown",), P, says(unit="secs")),
    Defect("a unit with a capital", ("unit-unknown",), P, says(unit="Bytes")),
    Defect('a threshold "null"', ("threshold-value",), P, steps("null", 80)),
    Defect("a threshold that is a word", ("threshold-value",), P, steps(None, "high")),
    Defect("thresholds that fall", ("threshold-order",), P, steps(None, 90, 80)),
    Defect("no threshold steps", ("threshold-base",), P, steps()),
    Defect("a threshold above the axis", ("threshold-scale",), P, steps(None, 200, max=100)),
    Defect("80 in percentunit", ("threshold-scale",), "/panels/2",
           lambda b: b["panels"][2]["fieldConfig"]["defaults"].update(
               thresholds={"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 80}]})),
    Defect("a colour that is none", ("threshold-color",), P,
           says(thresholds={"mode": "absolute", "steps": [{"color": "gren", "value": None}]})),
    Defect("min above max", ("axis-range",), P, says(min=100, max=0)),
    Defect("a legend mode that is none", ("option-value",), P,
           lambda b: first(b)["options"]["legend"].update(displayMode="tabular")),
    Defect("a calculation that is none", ("reduce-calc",), "/panels/3",
           lambda b: b["panels"][3]["options"]["reduceOptions"].update(calcs=["latest"])),
    Defect("a matcher that is none", ("override-matcher",), P, lambda b: first(b)["fieldConfig"].update(
        overrides=[{"matcher": {"id": "byFieldName", "options": "p95"}, "properties": []}])),
    Defect("a property that is none", ("override-property",), P, lambda b: first(b)["fieldConfig"].update(
        overrides=[{"matcher": {"id": "byName", "options": "p95"}, "properties": [{"id": "units", "value": "s"}]}])),
    Defect("a transformation that is none", ("transformation-unknown",), P,
           lambda b: first(b).update(transformations=[{"id": "organizeFields", "options": {}}])),
    Defect("a mapping of no type", ("mapping-invalid",), P,
           says(mappings=[{"type": "valueToText", "options": {"1": {"text": "up"}}}])),
    # Queries.
    Defect("an open bracket", ("promql-syntax",), QUERY, asks(RATE[:-1])),
    Defect("rate without a range", ("promql-syntax",), QUERY, asks(f"sum(rate(shop_requests_total{{{JOB}}}))")),
    Defect("a function that is none", ("promql-syntax",), QUERY, asks(RATE.replace("rate(", "ratio(", 1))),
    Defect("an open quote", ("promql-syntax",), QUERY, asks('sum(shop_queue_length{job="shop})')),
    Defect("rate of a gauge", ("query-rate-gauge",), QUERY, asks(RATE.replace("shop_requests_total", "shop_queue_length"))),
    Defect("rate of memory", ("query-rate-gauge",), QUERY,
           asks(RATE.replace("shop_requests_total", "process_resident_memory_bytes"))),
    Defect("a raw counter", ("query-raw-counter",), QUERY, asks("shop_requests_total", legendFormat="{{instance}}")),
    Defect("a raw counter behind matchers", ("query-raw-counter",), QUERY,
           asks(f'sum by (instance) (shop_requests_total{{{JOB},code=~"5.."}})')),
    Defect("a quantile without le", ("query-quantile-le",), QUERY,
           asks(f"histogram_quantile(0.95, sum by (instance) (rate({BUCKETS})))")),
    Defect("a quantile whose le is summed away", ("query-quantile-le",), QUERY,
           asks(f"histogram_quantile(0.95, sum(rate({BUCKETS})))", legendFormat="p95")),
    Defect("the 95th quantile", ("query-quantile-range",), QUERY,
           asks(f"histogram_quantile(95, sum by (le) (rate({BUCKETS})))", legendFormat="p95")),
    Defect("a quantile of a sum", ("query-quantile-bucket", "query-quantile-le"), QUERY,
           asks(f"histogram_quantile(0.95, sum by (le) (rate({BUCKETS})))".replace("_bucket", "_sum"), legendFormat="p95")),
    Defect("a quantile of raw buckets", ("query-quantile-no-rate",), QUERY,
           asks(f"histogram_quantile(0.9, sum by (le) (shop_request_duration_seconds_bucket{{{JOB}}}))", legendFormat="p90")),
    Defect("the mean of quantiles", ("query-average-quantile",), QUERY,
           asks(f"avg(histogram_quantile(0.9, sum by (le, instance) (rate({BUCKETS}))))", legendFormat="p90")),
    Defect("a fixed range", ("query-fixed-range",), QUERY, asks(RATE.replace("$__rate_interval", "5m"))),
    Defect("a range shorter than a scrape", ("query-short-range",), QUERY, asks(RATE.replace("$__rate_interval", "10s"))),
    Defect("$__interval under a rate", ("query-short-range",), QUERY, asks(RATE.replace("$__rate_interval", "$__interval"))),
    Defect("one of several values", ("query-multi-equals",), QUERY, asks(RATE.replace('=~"$job"', '="$job"'))),
    Defect("no job", ("query-no-job",), QUERY, asks(RATE.replace(JOB, 'code="200"'))),
    Defect("a label that is gone", ("query-label-unknown", "legend-label"), QUERY,
           asks(f"sum by (code) (sum by (instance) (rate(shop_requests_total{{{JOB}}}[$__rate_interval])))",
                legendFormat="{{code}}")),
    Defect("sides that never match", ("query-match-empty",), QUERY,
           asks(f"{RATE} / sum by (job) (shop_queue_length{{{JOB}}})")),
    Defect("a matcher against itself", ("query-matcher-conflict",), QUERY,
           asks(RATE.replace(JOB, f'{JOB},code="200",code="500"'))),
    Defect("a broken pattern", ("promql-syntax", "query-matcher-regex"), QUERY, asks(RATE.replace(JOB, f'{JOB},code=~"5("'))),
    Defect("the same query twice", ("query-duplicate",), f"{P}/targets/1", lambda b: first(b)["targets"].append(
        first(b)["targets"][0] | {"refId": "B", "legendFormat": "again {{instance}}"})),
    Defect("one moment as a line", ("query-instant-graph",), QUERY,
           lambda b: first(b)["targets"][0].update(instant=True, range=False)),
    Defect("a heatmap of lines", ("query-format",), QUERY, every(
        lambda b: first(b).update(type="heatmap", options={"yAxis": {"unit": "s"}}),
        asks(f"sum by (le) (rate({BUCKETS}))", legendFormat="{{le}}"))),
    Defect("no legend", ("legend-missing",), QUERY, asks(RATE, legendFormat="")),
    Defect("a legend of a label that is not there", ("legend-label",), QUERY, asks(RATE, legendFormat="{{pod}}")),
    Defect("one name for all lines", ("legend-ambiguous",), QUERY, asks(RATE, legendFormat="requests")),
    Defect("seconds as milliseconds", ("unit-meaning",), "/panels/1",
           lambda b: b["panels"][1]["fieldConfig"]["defaults"].update(unit="ms")),
    Defect("a share as percent", ("unit-meaning",), "/panels/2",
           lambda b: b["panels"][2]["fieldConfig"]["defaults"].update(unit="percent")),
    Defect("bytes a second as bits", ("unit-meaning",), "/panels/2",
           lambda b: b["panels"][2]["fieldConfig"]["defaults"].update(unit="bps"), "mixin"),
    Defect("a delta of a counter", ("query-raw-counter",), QUERY, asks(RATE.replace("rate(", "delta(", 1))),
    Defect("a count as a rate", ("unit-meaning",), QUERY, asks(RATE.replace("rate(", "increase(", 1))),
    Defect("buckets of a count", ("query-label-unknown",), QUERY,
           asks(f"sum by (le) (rate(shop_request_duration_seconds_count{{{JOB}}}[$__rate_interval]))", legendFormat="{{le}}")),
    Defect("braces that do not close", ("legend-label",), QUERY, asks(RATE, legendFormat="{{instance}")),
    Defect("a table of every moment", ("query-format",), QUERY, every(
        lambda b: first(b).update(type="table", options={}), asks(RATE, format="table"))),
    # What only the metrics tell; `exposition` below has them.
    Defect("a metric that is not there", ("query-metric-unknown",), QUERY,
           asks(RATE.replace("shop_requests_total", "shop_request_total"))),
    Defect("a label the metric has not", ("query-label-unknown",), QUERY,
           asks(RATE.replace("by (instance)", "by (colour)"), legendFormat="{{colour}}")),
    Defect("a histogram by its bare name", ("query-metric-type",), QUERY,
           asks(f"sum by (instance) (shop_request_duration_seconds{{{JOB}}})")),
    Defect("a matcher on a label that is not there", ("query-label-unknown",), QUERY,
           asks(RATE.replace(JOB, f'{JOB},status="500"'))),
)  # fmt: skip

MIXTURES: tuple[tuple[str, ...], ...] = (
    ("overlapping panels", "no unit", "an undefined variable in a title"),
    ("schema of 2016", "editable", "80 in percentunit", "seconds as milliseconds"),
    ("two panels with one id", "a raw counter behind matchers", "a calculation that is none"),
    ("no description", "a fixed range", "a variable nobody uses"),
    ("an open bracket", "wider than the grid", "a time range backwards"),
    ("rate of a gauge", 'a threshold "null"', "a link without an address"),
    ("a quantile without le", "two variables of one name", "a refresh in words", "no title"),
    ("a legend of a label that is not there", "min above max", "a uid with a slash"),
    ("one of several values", "thresholds that fall", "a typo in the board's keys"),
    ("a label that is gone", "a unit in words", "a matcher that is none"),
    ("a metric that is not there", "a repeat for nothing", "a share as percent", "no uid"),
)
"""Names of defects that are put into one board together; all of "today"."""

EXPOSITION = """\
# TYPE shop_requests_total counter
shop_requests_total{code="200",path="/"} 1
# TYPE shop_request_duration_seconds histogram
shop_request_duration_seconds_bucket{path="/",le="0.25"} 1
shop_request_duration_seconds_bucket{path="/",le="+Inf"} 1
shop_request_duration_seconds_count{path="/"} 1
shop_request_duration_seconds_sum{path="/"} 0.1
# TYPE shop_queue_length gauge
shop_queue_length 1
# TYPE shop_up_info gauge
shop_up_info{region="eu"} 1
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1
"""
"""The metrics of the shop, for the defects that need them."""

NEED_METRICS = frozenset({"query-metric-unknown", "query-metric-type", "query-label-unknown"})


def tricky(expr: str, unit: str = "short", legend: str = "x", **more: Any) -> Callable[[], Json]:
    """A right board whose first panel is unusual."""

    def make() -> Json:
        board = today()
        made = panel(1, "Tricky", expr, unit, (0, 0, 12, 8)) | more
        made["targets"][0]["legendFormat"] = legend
        board["panels"][0] = made
        return board

    return make


def with_variable(name: str, expr: str, legend: str = "x", **more: Any) -> Callable[[], Json]:
    """A right board with a variable of an unusual kind in its first query."""

    def make() -> Json:
        board = tricky(expr, legend=legend)()
        board["templating"]["list"].append({"name": name} | more)
        return board

    return make


Q = f"{{{JOB}}}"
TRICKY: Mapping[str, Callable[[], Json]] = {
    "topk of a variable": with_variable("k", f"topk($k, shop_queue_length{Q})", "{{instance}}", type="custom", query="3,5"),
    "a quantile of a variable": with_variable(
        "q", f"histogram_quantile($q, sum by (le) (rate({BUCKETS})))", type="custom", query="0.5,0.95"),
    "an interval to choose": with_variable("window", f"sum(rate(shop_requests_total{Q}[$window]))", type="interval", query="5m,1h"),
    "a label to choose": with_variable(
        "by", f"sum by ($by) (shop_queue_length{Q})", "{{$by}}", type="custom", query="instance,region"),
    "a filter as a text": with_variable("text", f'sum(shop_queue_length{{{JOB},path=~".*$text.*"}})', type="textbox", query=""),
    "an adhoc filter": with_variable("filters", f"sum(shop_queue_length{Q})", type="adhoc", datasource=SOURCE),
    "changes of a counter": tricky(f"sum(changes(shop_requests_total{Q}[1h]))"),
    "resets of a counter": tricky(f"sum(resets(shop_requests_total{Q}[$__rate_interval]))"),
    "how many counters": tricky(f"count(shop_requests_total{Q})"),
    "a counter that never was": tricky(f"absent(shop_requests_total{Q})"),
    "the mean since the start": tricky(
        f"sum(shop_request_duration_seconds_sum{Q}) / sum(shop_request_duration_seconds_count{Q})", "s"),
    "increase of the whole range": tricky(f"sum(increase(shop_requests_total{Q}[$__range]))"),
    "a day's rate": tricky(f"sum(rate(shop_requests_total{Q}[1d]))", "reqps"),
    "a range that the title names": tricky(
        f"sum(rate(shop_requests_total{Q}[5m]))", "reqps", title="Requests, 5m mean"),
    "a native histogram": tricky(f"histogram_quantile(0.95, sum(rate(shop_latency_seconds{Q}[$__rate_interval])))", "s"),
    "recorded series": tricky("job:shop_requests:rate5m", "reqps", "{{job}}"),
    "alerts": tricky('count(ALERTS{alertstate="firing"}) or vector(0)'),
    "group_left": tricky(
        f"sum by (instance) (shop_queue_length{Q}) * on (instance) group_left (version) shop_up_info{Q}",
        legend="{{instance}} {{version}}"),
    "a replaced label": tricky(
        f'label_replace(sum by (instance) (shop_queue_length{Q}), "host", "$1", "instance", "(.*):.*")', legend="{{host}}"),
    "a subquery": tricky(f"max_over_time(sum(rate(shop_requests_total{Q}[$__rate_interval]))[1h:5m])", "reqps"),
    "the end of the range": tricky(f"sum(shop_queue_length{Q} @ end())"),
    "a week before": tricky(f"sum(shop_queue_length{Q} offset 1w)"),
    "seconds as milliseconds, multiplied": tricky(
        f"1000 * histogram_quantile(0.95, sum by (le) (rate({BUCKETS})))", "ms"),
    "a percentage of 100": tricky(
        f"100 * sum(rate(shop_requests_total{{{JOB},code=~\"5..\"}}[$__rate_interval])) / "
        f"sum(rate(shop_requests_total{Q}[$__rate_interval]))", "percent"),
    "a unit of one's own": tricky(f"sum(shop_queue_length{Q})", "suffix: orders"),
    "a currency": tricky(f"sum(shop_queue_length{Q})", "currency:€"),
    "relative thresholds": tricky(f"sum(shop_queue_length{Q})", fieldConfig={"defaults": {
        "unit": "short", "min": 0, "max": 1000, "thresholds": {"mode": "percentage", "steps": [
            {"color": "green", "value": None}, {"color": "red", "value": 80}]}}, "overrides": []}),
    "an override by a pattern": tricky(f"sum(shop_queue_length{Q})", fieldConfig={"defaults": {"unit": "short"}, "overrides": [
        {"matcher": {"id": "byRegexp", "options": "/p9\\d$/"}, "properties": [{"id": "custom.lineWidth", "value": 2}]}]}),
    "logs beside figures": tricky(
        f"sum(shop_queue_length{Q})", datasource={"type": "datasource", "uid": "-- Mixed --"}, targets=[
            {"refId": "A", "datasource": SOURCE, "expr": f"sum(shop_queue_length{Q})", "legendFormat": "x"},
            {"refId": "B", "datasource": {"type": "loki", "uid": "-- Grafana --"}, "expr": '{app="shop"} |= "error" | json'}]),
    "another data source": tricky("", type="table", targets=[
        {"refId": "A", "datasource": {"type": "postgres", "uid": "default"}, "rawSql": "SELECT $1, '$x'"}]),
    "a plugin's panel": tricky(f"sum(shop_queue_length{Q})", type="grafana-polystat-panel"),
    "another panel's answer": tricky("", datasource={"type": "datasource", "uid": "-- Dashboard --"}, targets=[
        {"refId": "A", "datasource": {"type": "datasource", "uid": "-- Dashboard --"}, "panelId": 2}]),
    "what two have in common": tricky(f"sum by (instance) (shop_queue_length{Q}) and on (instance) up{Q}", legend="{{instance}}"),
    "those that ever failed": tricky(f"sum by (instance) (shop_queue_length{Q}) and on (instance) shop_failures_total{Q}",
                                     legend="{{instance}}"),
    "the time since": tricky(f"time() - max(shop_last_order_timestamp_seconds{Q})", "s"),
    "a link with the time": tricky(
        f"sum(shop_queue_length{Q})", links=[{"title": "Details", "url": "/d/details?${__url_time_range}&${__all_variables}"}]),
}  # fmt: skip
"""Right, and unusual enough that a hasty rule flags it."""
