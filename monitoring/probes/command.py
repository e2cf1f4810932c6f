"""`python -m monitoring probe`: the prober's process.

Open loop: the schedule does not wait for answers, and a run that cannot start in time is counted
as skipped, never silently left out (coordinated omission).
"""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import start_http_server

from monitoring.client.api import Api
from monitoring.probes.accounts import load_or_create
from monitoring.probes.canary import CanaryProbe
from monitoring.probes.metrics import ProbeMetrics

CONCURRENT_RUNS = 4
MISSED_AFTER_S = 2
SETTLE_EVERY_S = 1


@click.command()
@click.option("--url", required=True, help="The messenger, for example http://127.0.0.1:3001.")
@click.option("--state", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="File that keeps the probe accounts; made on first use, mode 600.")  # fmt: skip
@click.option(
    "--interval", default=5.0, show_default=True, type=click.FloatRange(2.0), help="Seconds between canaries."
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of /metrics.")
@click.option(
    "--metrics-port", default=9096, show_default=True, type=click.IntRange(1, 65535), help="Port of /metrics."
)
def probe(url: str, state: Path, interval: float, metrics_host: str, metrics_port: int) -> None:
    """Send canary messages from one account to another and measure what becomes of them.

    Runs until SIGTERM. Each canary ends as delivered, late, lost or send_failed; duplicates,
    reordering and corruption are counted beside that.
    """
    metrics = ProbeMetrics()
    canary = CanaryProbe(Api(url), load_or_create(state), metrics)
    start_http_server(metrics_port, metrics_host, metrics.registry)
    scheduler = _schedule(canary, metrics, interval)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=False)
    canary.stop()


def _schedule(canary: CanaryProbe, metrics: ProbeMetrics, interval_s: float) -> BackgroundScheduler:
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(CONCURRENT_RUNS)}, timezone=UTC)
    first = datetime.now(UTC) + timedelta(seconds=1)

    def missed(event: Any) -> None:
        if event.job_id == "canary":
            metrics.skipped.inc()

    scheduler.add_listener(missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    scheduler.add_job(
        lambda: canary.run(intended_time(first, interval_s, datetime.now(UTC))),
        "interval",
        seconds=interval_s,
        id="canary",
        start_date=first,
        max_instances=CONCURRENT_RUNS - 1,
        # Below the interval, so that a run's intended time is the last beat of the schedule.
        misfire_grace_time=max(1, int(min(MISSED_AFTER_S, interval_s - 1))),
        coalesce=False,
    )
    scheduler.add_job(canary.settle, "interval", seconds=SETTLE_EVERY_S, id="settle", coalesce=True)
    return scheduler


def intended_time(first: datetime, interval_s: float, now: datetime) -> datetime:
    """The last beat of the schedule at `now`: when the run that starts now was meant to start.

    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> intended_time(start, 5, start + timedelta(seconds=11.3)).second
    10
    """
    beats = (now - first).total_seconds() // interval_s
    return first + timedelta(seconds=max(0.0, beats * interval_s))
