"""SLO specs for tests: a right one, from which a test changes one thing."""

from __future__ import annotations

from pathlib import Path

from monitoring.spec.model import Slo
from monitoring.spec.reader import load

SERVICE = """\
apiVersion: openslo/v1
kind: Service
metadata:
  name: shop
"""

SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout
  displayName: Checkout
  annotations:
    other.tool/key: left alone
    monitoring/threshold-window: 2m
spec:
  description: Orders go through.
  service: shop
  indicator:
    metadata:
      name: checkout
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec:
              query: orders_total{outcome="ok"}
        total:
          metricSource:
            type: Prometheus
            spec:
              query: orders_total
  timeWindow:
    - duration: 30d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - target: 0.999
"""


def write(folder: Path, *documents: str) -> Path:
    """A file of these documents."""
    path = folder / "spec.yaml"
    path.write_text("---\n".join(documents))
    return path


def changed(old: str, new: str) -> str:
    """SLO with one thing changed, which must be there."""
    assert old in SLO
    return SLO.replace(old, new)


def slo(folder: Path, old: str = "", new: str = "") -> Slo:
    """The SLO as it is read, with one thing changed."""
    return load([write(folder, SERVICE, changed(old, new) if old else SLO)])[0]


def line_of(path: Path, text: str) -> int:
    """The line of a file, from 1, that is this text, or else the first that has it."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    whole = (n for n, line in enumerate(lines, 1) if line == text)
    return next(whole, None) or next(n for n, line in enumerate(lines, 1) if text in line)
