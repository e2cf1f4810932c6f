"""Boards that are right, each in the style of people who write them so; defects are put into these."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

JOB = 'job=~"$job"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def variables(source: Any = SOURCE) -> list[Json]:
    """A data source, a job and an instance, of which several can be chosen."""
    chooser: Json = {"type": "query", "datasource": source, "multi": True, "includeAll": True, "refresh": 2, "sort": 1}
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
        chooser | {"name": "job", "label": "Job", "query": "label_values(shop_up_info, job)", "allValue": ".+"},
        chooser
        | {
            "name": "instance",
            "label": "Instance",
            "query": 'label_values(shop_up_info{job=~"$job"}, instance)',
            "allValue": ".+",
        },
    ]


def panel(id_: int, title: str, expr: str, unit: str, place: tuple[int, int, int, int], **more: Any) -> Json:
    """A panel of today's kinds; `place` is x, y, w, h."""
    x, y, w, h = place
    made: Json = {
        "id": id_,
        "type": "timeseries",
        "title": title,
        "description": f"{title}; when it is high, look at the runbook.",
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": w, "h": h},
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": "green", "value": None}, {"color": "red", "value": 0.8}],
                },
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "calcs": []}},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": expr, "legendFormat": "{{instance}}"}],
    }
    return made | more


def today() -> Json:
    """As a generator of today writes it."""
    return {
        "uid": "shop-overview",
        "title": "Shop overview",
        "description": "Whether people can buy.",
        "tags": ["shop"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 42,
        "refresh": "10s",
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {"refresh_intervals": ["10s", "1m"]},
        "links": [
            {"type": "dashboards", "title": "Shop", "tags": ["shop"], "keepTime": True, "includeVars": True, "url": ""}
        ],
        "templating": {"list": variables()},
        "annotations": {
            "list": [{"name": "Deploys", "datasource": SOURCE, "enable": True, "expr": "shop:deploys:recent"}]
        },
        "panels": [
            panel(
                1,
                "Requests",
                f"sum by (instance) (rate(shop_requests_total{{{JOB}}}[$__rate_interval]))",
                "reqps",
                (0, 0, 12, 8),
            ),
            panel(
                2,
                "Latency",
                "histogram_quantile(0.95, sum by (le, instance) "
                f"(rate(shop_request_duration_seconds_bucket{{{JOB}}}[$__rate_interval])))",
                "s",
                (12, 0, 12, 8),
            ),
            panel(
                3,
                "Error ratio",
                f'sum by (instance) (rate(shop_requests_total{{{JOB},code=~"5.."}}[$__rate_interval])) '
                f"/ sum by (instance) (rate(shop_requests_total{{{JOB}}}[$__rate_interval]))",
                "percentunit",
                (0, 8, 8, 8),
            ),
            panel(
                4,
                "Queue",
                f"sum by (instance) (shop_queue_length{{{JOB}}})",
                "short",
                (8, 8, 8, 8),
                type="stat",
                options={"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}},
            ),
            panel(
                5,
                "Memory",
                f"max by (instance) (process_resident_memory_bytes{{{JOB}}})",
                "bytes",
                (16, 8, 8, 8),
            ),
        ],
    }


def exported() -> Json:
    """As Grafana's interface exports it for sharing: inputs, no uid of its own data source, collapsed rows."""
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    board = today()
    board |= {
        "__inputs": [{"name": "DS_PROMETHEUS", "type": "datasource", "pluginId": "prometheus", "label": "Prometheus"}],
        "__requires": [{"type": "panel", "id": "timeseries", "name": "Time series", "version": ""}],
        "__elements": {},
        "id": None,
        "version": 7,
        "schemaVersion": 39,
        "liveNow": False,
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "templating": {"list": [one | {"datasource": source} for one in variables(source)[1:]]},
        "annotations": {"list": []},
    }
    inside = []
    for one in board["panels"]:
        one["datasource"] = source
        one["pluginVersion"] = "10.4.2"
        for target in one["targets"]:
            target |= {"datasource": source, "editorMode": "code", "range": True, "instant": False}
    inside, board["panels"] = board["panels"][2:], board["panels"][:2]
    board["panels"].append(
        {
            "id": 9,
            "type": "row",
            "title": "Details",
            "collapsed": True,
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": 8},
            "panels": inside,
        }
    )
    return board


def old() -> Json:
    """As people wrote it for Grafana 6: graphs, singlestats, data sources by name of a variable, rows as panels."""
    board = today() | {
        "schemaVersion": 18,
        "style": "dark",
        "gnetId": None,
        "iteration": 1,
        "annotations": {"list": []},
    }
    for one in board["panels"]:
        one["datasource"] = "$datasource"
        del one["fieldConfig"], one["options"]
        for target in one["targets"]:
            del target["datasource"]
            target |= {"format": "time_series", "intervalFactor": 1}
        one |= {
            "type": "graph",
            "lines": True,
            "nullPointMode": "null",
            "yaxes": [{"format": "short"}, {"format": "short"}],
        }
    for variable in board["templating"]["list"][1:]:
        variable["datasource"] = "$datasource"
    return board


def mixin() -> Json:
    """As kubernetes-mixin writes it: `by (…)` last, cluster and namespace to choose, recorded series."""
    board = today()
    chooser: Json = {"type": "query", "datasource": SOURCE, "refresh": 2}
    board["templating"]["list"] = [
        variables()[0],
        chooser | {"name": "cluster", "query": 'label_values(up{job="kubelet"}, cluster)'},
        chooser | {"name": "namespace", "query": 'label_values(kube_pod_info{cluster="$cluster"}, namespace)'},
    ]
    matchers = 'cluster="$cluster", namespace="$namespace"'
    exprs = (
        f"sum(node_namespace_pod_container:container_cpu_usage_seconds_total:sum_irate{{{matchers}}}) by (pod)",
        f'sum(kube_pod_container_resource_requests{{{matchers}, resource="cpu"}}) by (pod)',
        f"sum(rate(container_network_receive_bytes_total{{{matchers}}}[$__rate_interval])) by (pod)",
        f"sum(container_memory_working_set_bytes{{{matchers}}}) by (pod)",
        f"count(kube_pod_info{{{matchers}}}) by (pod)",
    )
    for one, expr, unit in zip(board["panels"], exprs, ("short", "short", "Bps", "bytes", "short"), strict=True):
        one["targets"][0] |= {"expr": expr, "legendFormat": "{{pod}}"}
        one["fieldConfig"]["defaults"]["unit"] = unit
    return board


def wrapped() -> Json:
    """A service's board with a repeated row, an interval to choose, and panels that mix data sources."""
    board = today()
    board["templating"]["list"] += [
        {"name": "window", "label": "Window", "type": "interval", "query": "5m,1h,1d", "current": {"value": "5m"}},
        {"name": "top", "label": "Top", "type": "custom", "query": "5,10", "current": {"text": "5", "value": "5"}},
    ]
    first, second = board["panels"][:2]
    first["targets"][0]["expr"] = f"topk($top, sum by (instance) (rate(shop_requests_total{{{JOB}}}[$window])))"
    second |= {"repeat": "job", "repeatDirection": "h", "maxPerRow": 4}
    return board


BASES = {"today": today, "exported": exported, "old": old, "mixin": mixin, "wrapped": wrapped}
