"""prometheus.yml, and the flags that cannot be said in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitoring.config import Environment
from monitoring.generatedyaml import dump, made_from
from monitoring.maths.durations import Duration

RETENTION_MARGIN = Duration.parse("5d")
"""Kept beyond the longest period, so that its first slices are still there when it ends."""


def arguments(environment: Environment) -> list[str]:
    """The flags Prometheus must be started with, beside the paths of its files.

    Its default retention of 15 days would silently lose half of a 30-day period.
    A short resend delay lets a resolve reach on-call soon, and a restart be noticed.
    Boards show the canaries behind the probe's latency as exemplars.
    """
    return [
        f"--storage.tsdb.retention.time={environment.prometheus.retention}",
        f"--rules.alert.resend-delay={environment.prometheus.resend_delay}",
        "--enable-feature=exemplar-storage",
    ]


def configuration(environment: Environment, rule_files: Sequence[str]) -> bytes:
    """prometheus.yml; `rule_files` are relative to its own folder."""
    data: dict[str, Any] = {
        "global": {
            "scrape_interval": str(environment.scrape_interval),
            "scrape_timeout": str(_timeout(environment.scrape_interval)),
            "evaluation_interval": str(environment.evaluation_interval),
        },
        "rule_files": list(rule_files),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(environment.alertmanager.targets)}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(targets)}]}
            for job, targets in environment.jobs.items()
            if targets
        ],
    }
    flags = " ".join(arguments(environment))
    return dump(
        data,
        made_from("monitoring.yaml"),
        f"Start Prometheus with {flags};",
        "on Debian they go into ARGS in /etc/default/prometheus.",
    )


def _timeout(scrape_interval: Duration) -> Duration:
    """Ten seconds, Prometheus' own default, unless scrapes are closer than that."""
    return Duration(min(scrape_interval, 10))
