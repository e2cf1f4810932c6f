"""What a file is, told by what it says; pure.

The keys at its left margin are enough for nearly every file, and reading them costs a
hundredth of parsing it. Only a file that has none there (flow style) is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from monitoring.lint.wrapped import board_in
from monitoring.yamltree import Node, Notes, documents

_TOP = re.compile(r"""^["']?([A-Za-z_][\w-]*)["']?[ \t]*:(?:[ \t]+["']?([^\s"'#]*))?""", re.MULTILINE)

Keys = Mapping[str, str]
"""Top-level keys and what stands on their line; of several documents the first counts."""


class Kind(Enum):
    """Each value is how one such file is called."""

    SPEC = "SLO spec"
    RULES = "rule file"
    PROMETHEUS_RULE = "PrometheusRule"
    RULE_TESTS = "rule test"
    ALERTMANAGER = "Alertmanager configuration"
    PROMETHEUS = "Prometheus configuration"
    BOARD = "dashboard"
    CONFIG_MAP = "ConfigMap"
    PROVISIONING = "Grafana provisioning file"
    MAINTENANCE = "maintenance list"
    PROJECT = "project configuration"


EXPECTED = ", ".join(kind.value for kind in Kind)


def kind_of(text: str) -> Kind | None:
    """What a YAML text is; None when it is nothing that is known here.

    >>> kind_of("groups:\\n- name: a\\n").name, kind_of("apiVersion: openslo/v1\\nkind: SLO\\n").name
    ('RULES', 'SPEC')
    >>> kind_of("{apiVersion: openslo/v1, kind: SLO}").name, kind_of("services: {}") is None
    ('SPEC', True)
    >>> kind_of("- id: move\\n  start: 2030-01-01T00:00:00Z\\n  end: 2030-01-01T01:00:00Z\\n").name
    'MAINTENANCE'
    """
    keys: dict[str, str] = {}
    for found in _TOP.finditer(text):
        keys.setdefault(found[1], found[2] or "")
    return told_by(keys) if keys else told_by(_parsed_keys(text))


def _parsed_keys(text: str) -> Keys:
    tree = next(iter(documents(text, Notes(""))), None)
    return _keys_of(tree) if tree else {}


def _keys_of(tree: Node) -> Keys:
    """The keys of a document; a list of spans of time is a maintenance list."""
    if isinstance(tree.value, tuple):
        is_spans = any(item.child("start") and item.child("end") for item in tree.value)
        return {"maintenance": ""} if is_spans else {}
    return {key: str(tree.scalar(key) or "") for key in tree.value} if isinstance(tree.value, dict) else {}


def told_by(keys: Keys) -> Kind | None:
    """The kind that has these keys."""
    api, kind = keys.get("apiVersion", ""), keys.get("kind", "")
    if kind == "PrometheusRule":
        return Kind.PROMETHEUS_RULE
    if kind == "ConfigMap":
        return Kind.CONFIG_MAP
    if api.startswith(("openslo", "sloth.slok.dev/")) or keys.get("version", "").startswith(
        ("prometheus/", "alertWindows/")
    ):
        return Kind.SPEC
    if api == "1" and ("datasources" in keys or "providers" in keys):
        return Kind.PROVISIONING
    if api:
        return None
    for some, result in (
        (("rule_files", "tests"), Kind.RULE_TESTS),
        (("tests",), Kind.RULE_TESTS),
        (("groups",), Kind.RULES),
        (("route",), Kind.ALERTMANAGER),
        (("scrape_configs",), Kind.PROMETHEUS),
        (("rule_files",), Kind.PROMETHEUS),
        (("specs", "environments"), Kind.PROJECT),
        (("service", "environments"), Kind.PROJECT),
        (("maintenance",), Kind.MAINTENANCE),
    ):
        if all(key in keys for key in some):
            return result
    return None


def is_board(value: object) -> bool:
    """Whether a JSON value is a Grafana dashboard, however it is wrapped."""
    return board_in(value) is not None
