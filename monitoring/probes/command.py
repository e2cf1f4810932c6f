"""`python -m monitoring probe`: the prober's process.

Open loop: the schedule does not wait for answers, and a run that cannot start in time is counted
as skipped, never silently left out (coordinated omission).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
import psycopg2
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import start_http_server

from monitoring.client.api import Api
from monitoring.probes.accounts import load_or_create
from monitoring.probes.archive import upload
from monitoring.probes.canary import CanaryProbe
from monitoring.probes.connects import CertificateProbe, ConnectProbe
from monitoring.probes.journal import Journal, unfinished
from monitoring.probes.metrics import ProbeMetrics

CONCURRENT_RUNS = 3
"""Of one kind of probe: as many as are under way when each takes to its deadline, at the shortest interval."""
THREADS = 2 * CONCURRENT_RUNS + 2
MISSED_AFTER_S = 2
SETTLE_EVERY_S = 1
CERTIFICATE_EVERY_S = 60
UPLOAD_EVERY_S = 10

log = logging.getLogger("probe")


@click.command()
@click.option("--url", required=True, help="The messenger, for example http://127.0.0.1:3001.")
@click.option("--state", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="File that keeps the probe accounts; made on first use, mode 600.")  # fmt: skip
@click.option(
    "--interval",
    default=5.0,
    show_default=True,
    type=click.FloatRange(2.0),
    help="Seconds between canaries, and between connects.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of /metrics.")
@click.option(
    "--metrics-port", default=9096, show_default=True, type=click.IntRange(1, 65535), help="Port of /metrics."
)
@click.option(
    "--journal",
    "journal_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder where every canary and its end is written down; this prober's alone.",
)
@click.option(
    "--ledger",
    "ledger_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that holds the URL of the PostgreSQL database that the journal is uploaded to.",
)
@click.option("--name", default="prober", show_default=True, help="What this prober is called in the ledger.")
def probe(
    url: str,
    state: Path,
    interval: float,
    metrics_host: str,
    metrics_port: int,
    journal_folder: Path | None,
    ledger_file: Path | None,
    name: str,
) -> None:
    """Send canary messages from one account to another, connect afresh beside that, and measure what becomes of it.

    Runs until SIGTERM. Each canary ends as delivered, late, lost or send_failed; duplicates,
    reordering and corruption are counted beside that. Each connect is ok or failed, with the reason.
    Over https the end of the messenger's certificate is told, too.
    """
    tls = url.startswith("https:")
    metrics = ProbeMetrics(tls=tls)
    api, accounts = Api(url), load_or_create(state)
    if ledger_file and not journal_folder:
        raise click.UsageError("--ledger uploads a journal; name its folder with --journal")
    left = unfinished(journal_folder) if journal_folder else {}
    journal = Journal(journal_folder) if journal_folder else None
    canary = CanaryProbe(api, accounts, metrics, journal)
    canary.abandon(left)
    connects = ConnectProbe(api, accounts.connector, accounts.password, metrics)
    start_http_server(metrics_port, metrics_host, metrics.registry)
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(THREADS)}, timezone=UTC)
    _schedule(scheduler, {"canary": canary.run, "connect": connects.run}, metrics, interval)
    scheduler.add_job(canary.settle, "interval", seconds=SETTLE_EVERY_S, id="settle", coalesce=True)
    if ledger_file and journal_folder:
        uploading = partial(_upload, ledger_file, name, journal_folder, metrics)
        scheduler.add_job(uploading, "interval", seconds=UPLOAD_EVERY_S, coalesce=True, max_instances=1)
    if tls:
        certificate = CertificateProbe(url, metrics.certificate_expiry.set)
        now = datetime.now(UTC)
        scheduler.add_job(certificate.run, "interval", seconds=CERTIFICATE_EVERY_S, next_run_time=now, coalesce=True)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=False)
    canary.stop()
    if journal:
        journal.close()


def _upload(ledger_file: Path, name: str, folder: Path, metrics: ProbeMetrics) -> None:
    """What cannot be uploaded stays in the journal, and goes with the next upload."""
    try:
        upload(ledger_file.read_text().strip(), name, folder)
    except (OSError, psycopg2.Error) as error:
        log.info("the ledger cannot be uploaded: %s", type(error).__name__)
        metrics.uploaded(False)
    else:
        metrics.uploaded(True)


def _schedule(
    scheduler: BackgroundScheduler,
    probes: dict[str, Callable[[datetime], None]],
    metrics: ProbeMetrics,
    interval_s: float,
) -> None:
    """Each probe once an interval; it is told when the schedule wanted it to start."""
    first = datetime.now(UTC) + timedelta(seconds=1)

    def missed(event: Any) -> None:
        if event.job_id in probes:
            metrics.skipped.inc()

    def start(run: Callable[[datetime], None]) -> None:
        run(intended_time(first, interval_s, datetime.now(UTC)))

    scheduler.add_listener(missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    for name, run in probes.items():
        scheduler.add_job(
            start,
            "interval",
            args=(run,),
            seconds=interval_s,
            id=name,
            start_date=first,
            max_instances=CONCURRENT_RUNS,
            # Below the interval, so that a run's intended time is the last beat of the schedule.
            misfire_grace_time=max(1, int(min(MISSED_AFTER_S, interval_s - 1))),
            coalesce=False,
        )


def intended_time(first: datetime, interval_s: float, now: datetime) -> datetime:
    """The last beat of the schedule at `now`: when the run that starts now was meant to start.

    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> intended_time(start, 5, start + timedelta(seconds=11.3)).second
    10
    """
    beats = (now - first).total_seconds() // interval_s
    return first + timedelta(seconds=max(0.0, beats * interval_s))
