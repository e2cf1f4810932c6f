"""`python -m monitoring event`: pipelines write down what they deployed; people read it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from monitoring import config as configuration
from monitoring.deployments import journal
from monitoring.deployments.journal import Deployment
from monitoring.errors import OutOfRangeError
from monitoring.options import CONFIG_IN_WORDS, nearest_config
from monitoring.paths import shown
from monitoring.prometheus.access import warn
from monitoring.prometheus.shown import iso
from monitoring.prometheus.times import moment

_FAR_S = 366 * 86400

_CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=nearest_config,
    show_default=CONFIG_IN_WORDS,
    help="Which monitoring.yaml names the journal (its key deployments).",
)


@click.group()
def event() -> None:
    """Write down what happened to the service, beside what was measured of it.

    An event explains; it never mutes an alert and never changes a number.
    """


@event.command()
@_CONFIG
@click.option("--version", required=True, help="What was deployed: a tag, a build, a commit. At most 100 characters.")
@click.option("--environment", required=True, help="Where: one of the environments of monitoring.yaml.")
@click.option("--author", required=True, help="Who deployed it. At most 100 characters.")
@click.option("--service", help="What it is a version of; monitoring.yaml's service unless said.")
@click.option(
    "--at",
    default="now",
    show_default=True,
    help="When it began to run: now, -5m (ago), 2026-10-01T12:00:00Z, Unix seconds. UTC unless it says otherwise; "
    "not more than a minute in the future.",
)
@click.option("--note", default="", help="One line for people. At most 500 characters.")
def deploy(
    config_path: Path, version: str, environment: str, author: str, service: str | None, at: str, note: str
) -> None:
    """Append one deploy to the journal; it is on disk when this returns.

    On-call's /metrics (oncall --deployments FILE) exposes the last one of each service
    and environment as monitoring_deploy_timestamp_seconds{service,environment,version,author},
    and `report` marks all of its period. The last one is the one with the latest --at.

    Exit status: 0 written, 2 a mistake in the command or the config, or the journal
    cannot be written; then it is as it was.
    """
    config = configuration.load(config_path, environment)
    now = time.time()
    told = Deployment(
        at=datetime.fromtimestamp(_limited(at, now), UTC),
        service=service or config.file.service,
        environment=environment,
        version=version,
        author=author,
        note=note,
    )
    journal.append(config.deployments, journal.checked(told, now))
    click.echo(f"{told.service} {told.version} in {told.environment} since {iso(told.at.timestamp())}")


@event.command("list")
@_CONFIG
@click.option("--environment", help="Only this environment.")
@click.option("--service", help="Only this service.")
@click.option("--since", default="-30d", show_default=True, help="Only from this time on, written as --at of deploy.")
@click.option("--format", "as_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(config_path: Path, environment: str | None, service: str | None, since: str, as_: str) -> None:
    """Show the deploys of the journal, oldest first.

    Lines that are no deploy are counted on stderr. Exit status: 0, also when there are
    none; 2 a mistake in the command or the config, or the journal cannot be read.
    """
    config = configuration.load(config_path, environment)
    start = moment(since, time.time())
    found = journal.read(config.deployments, tail_bytes=None)
    if found.broken_lines:
        warn(f"{shown(config.deployments)}: {found.broken_lines} lines are no deploys")
    wanted = [
        one
        for one in found.deployments
        if one.at.timestamp() >= start and environment in (None, one.environment) and service in (None, one.service)
    ]
    if as_ == "json":
        click.echo(json.dumps([msgspec.to_builtins(one) for one in wanted], indent=2))
        return
    for one in wanted:
        note = f"  {one.note}" if one.note else ""
        click.echo(f"{iso(one.at.timestamp())}  {one.service}  {one.environment}  {one.version}  {one.author}{note}")


def _limited(at: str, now: float) -> float:
    """Unix seconds that a datetime can hold; the journal's own check follows. Raises OutOfRangeError."""
    found = moment(at, now)
    if not 0 <= found <= now + _FAR_S:
        raise OutOfRangeError(f"at: {at!r} lies far in the future, or before 1970")
    return found
