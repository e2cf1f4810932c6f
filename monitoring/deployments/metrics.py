"""The last deploys as metrics, read from the journal at each scrape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from monitoring.deployments import journal
from monitoring.errors import CannotWriteError

DEPLOY = "monitoring_deploy_timestamp_seconds"
BROKEN = "monitoring_deploy_journal_broken_lines"
LABELS = ("service", "environment", "version", "author")


class Deployments(Collector):
    """`monitoring_deploy_timestamp_seconds` for each service and environment; a broken journal breaks no scrape."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Without a readable journal there are no deploys, and a NaN says why."""
        deploys = GaugeMetricFamily(DEPLOY, "When the version that runs was deployed, Unix seconds.", labels=LABELS)
        broken = GaugeMetricFamily(BROKEN, "Lines of the journal's tail that are no deploy; NaN: it cannot be read.")
        try:
            found = journal.read(self._path)
        except CannotWriteError:
            broken.add_metric([], float("nan"))
        else:
            broken.add_metric([], found.broken_lines)
            for one in journal.last(found.deployments):
                values = [one.service, one.environment, one.version, one.author]
                deploys.add_metric(values, one.at.timestamp())
        yield deploys
        yield broken
