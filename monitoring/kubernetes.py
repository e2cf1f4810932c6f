"""The same rules and boards as Kubernetes objects, for whoever runs the Prometheus operator and Grafana's sidecar."""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitoring.generatedyaml import dump, made_from
from monitoring.rules.model import RuleFile

_MAX_NAME_CHARS = 253


def prometheus_rule(file: RuleFile, namespace: str, labels: Mapping[str, str]) -> bytes:
    """One rule file as a PrometheusRule. Source: Prometheus operator API, monitoring.coreos.com/v1."""
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(file.name, namespace, labels),
        "spec": file.to_yaml(),
    }
    return dump(body, made_from(file.source_name))


def config_map(uid: str, board: bytes, namespace: str, labels: Mapping[str, str]) -> bytes:
    """One board as a ConfigMap with the label that Grafana's sidecar looks for."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(f"dashboard-{uid}", namespace, {**labels, "grafana_dashboard": "1"}),
        "data": {f"{uid}.json": board.decode()},
    }
    return dump(body, made_from("the specs"))


def object_name(name: str) -> str:
    """A name that Kubernetes takes (RFC 1123 subdomain).

    >>> object_name("slo-Shop/checkout")
    'slo-shop-checkout'
    """
    return re.sub(r"[^a-z0-9.-]+", "-", name.lower())[:_MAX_NAME_CHARS].strip("-.")


def _metadata(name: str, namespace: str, labels: Mapping[str, str]) -> dict[str, object]:
    return {"name": object_name(name), "namespace": namespace} | ({"labels": dict(labels)} if labels else {})
