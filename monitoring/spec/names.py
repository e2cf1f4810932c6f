"""Names and labels of specs, made into what Prometheus and our files can carry."""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitoring.spec.targets import LABEL, RESOLVED_LABEL
from monitoring.yamltree import Node, Place

_SLO_NAME = re.compile(r"[a-z0-9]([-a-z0-9.|/\\]*[a-z0-9])?")
MAX_NAME = 200
"""A rule file is named after its SLO, and a file name has at most 255 bytes."""

OUR_LABELS = frozenset(("slo_id", "service", "tier", "kind", "severity", "alertname", LABEL, RESOLVED_LABEL))
"""Alerts have their own of these."""


def slo_id(place: Place, name: str) -> str | None:
    """The id of an SLO: its name with |, / and backslash as '-'; None when refused."""
    if not _SLO_NAME.fullmatch(name) or len(name) > MAX_NAME:
        place.error(
            f"expected at most 63 of a-z, 0-9 and - (or up to {MAX_NAME}, also with . | / \\), "
            f"a letter or digit first and last, found {name!r}"
        )
        return None
    return re.sub(r"[|/\\]", "-", name)


def slug(text: str) -> str:
    """Text as part of an id: lowercase letters, digits and '-'; empty when none are left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def labels(place: Place, written: Mapping[str, Node]) -> dict[str, str]:
    """Labels with names that Prometheus accepts; a list becomes one text with commas."""
    found: dict[str, str] = {}
    for key, node in written.items():
        here = place.at(key)
        value = _label_value(here, node)
        name = label_name(key)
        if name in found:
            here.error(f"becomes the label {name}, as another one does")
        elif name in OUR_LABELS:
            here.warn(f"the label {name} is one of our own, which replaces it")
        if value and name not in OUR_LABELS:
            found[name] = value
    return found


def label_name(key: str) -> str:
    """A label's name: characters that Prometheus refuses become '_'; two at the front are reserved."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    name = re.sub(r"^__+", "_", name)
    return f"_{name}" if not name or name[0].isdigit() else name


def _label_value(place: Place, node: Node) -> str:
    if isinstance(node.value, tuple):
        if any(isinstance(item.value, (tuple, dict)) for item in node.value):
            place.error("expected text or a list of texts")
        return ",".join(item.text for item in node.value)
    if isinstance(node.value, dict):
        place.error("expected text or a list of texts, found a mapping")
    return node.text
