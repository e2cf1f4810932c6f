"""`python -m deploy.freeze`: no deploys for a while; whoever tries is told who said so, why, and until when.

A freeze is a file beside the deployment (`freeze.json`). `deploy.rolling` refuses while it holds, and pipelines ask
`check`. The team hears of it as of everything else: an alert of the severity `ticket` goes to Alertmanager, and from
there on-call tells it; it ends by itself.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec
import requests

from deploy.stack.settings import PROJECT

EXIT_FROZEN, EXIT_MISTAKE = 1, 2
LONGEST = timedelta(days=60)
TIMEOUT_S = 10.0


class Freeze(msgspec.Struct, frozen=True):
    """Who allows no deploys, why, and from when until when."""

    by: str
    reason: str
    since: datetime
    until: datetime

    def __str__(self) -> str:
        return f"deploys are frozen until {self.until:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"


class FreezeError(Exception):
    """The file is no freeze; nothing is deployed then, since somebody meant something by it."""


def holding(path: Path, now: datetime) -> Freeze | None:
    """The freeze that holds at `now`; None when there is none, or it is over. Raises FreezeError."""
    try:
        freeze = msgspec.json.decode(path.read_bytes(), type=Freeze)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise FreezeError(f"{path}: is not a freeze that can be read: {error}") from error
    return freeze if now < freeze.until else None


def default_file() -> Path:
    """Beside what is deployed: in RUN_DIR, which is that of `make cluster` unless said."""
    return Path(os.environ.get("RUN_DIR", PROJECT / ".run/cluster")) / "freeze.json"


def tell(alertmanager: str, freeze: Freeze, ends: datetime) -> None:
    """Let Alertmanager pass it on until `ends`. Raises requests.RequestException."""
    alert = {
        "labels": {"alertname": "DeployFreeze", "severity": "ticket", "service": "messenger"},
        "annotations": {"summary": str(freeze), "description": f"Since {freeze.since:%Y-%m-%d %H:%M} UTC."},
        "startsAt": freeze.since.isoformat(),
        "endsAt": ends.isoformat(),
    }
    requests.post(f"{alertmanager}/api/v2/alerts", json=[alert], timeout=TIMEOUT_S).raise_for_status()


_FILE = click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), default=default_file, help="Where it is kept."
)
_ALERTMANAGER = click.option("--alertmanager", required=True, help="URL of the Alertmanager that tells the team.")


@click.group()
def main() -> None:
    """Freeze deploys, and say so to the team."""


@main.command()
@_FILE
@_ALERTMANAGER
@click.option("--by", required=True, help="Who says so.")
@click.option("--reason", required=True, help="Why, in a line.")
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]), help="UTC.")
def start(path: Path, alertmanager: str, by: str, reason: str, until: datetime) -> None:
    """Freeze. Exit status 1 when it holds but nobody could be told, 2 for a mistake."""
    now = datetime.fromtimestamp(time.time(), UTC)
    freeze = Freeze(by, reason, now, until.replace(tzinfo=UTC))
    if not now < freeze.until <= now + LONGEST:
        click.echo(f"--until: expected a time (UTC) within the next {LONGEST.days} days, found {until}", err=True)
        sys.exit(EXIT_MISTAKE)
    for option, text in (("--by", by), ("--reason", reason)):
        if not text.strip() or not text.isprintable():
            click.echo(f"{option}: expected one line of text, found {text!r}", err=True)
            sys.exit(EXIT_MISTAKE)
    beside = path.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode(freeze))
    beside.replace(path)
    click.echo(str(freeze))
    _told(alertmanager, freeze, freeze.until)


@main.command()
@_FILE
@_ALERTMANAGER
def end(path: Path, alertmanager: str) -> None:
    """Allow deploys again before the time."""
    now = datetime.fromtimestamp(time.time(), UTC)
    freeze = _holding(path, now)
    path.unlink(missing_ok=True)
    click.echo("deploys are not frozen")
    if freeze is not None:
        _told(alertmanager, freeze, now)


@main.command()
@_FILE
def check(path: Path) -> None:
    """Exit status 0 when deploys are allowed, 1 when they are frozen: then who, why and until when."""
    if freeze := _holding(path, datetime.fromtimestamp(time.time(), UTC)):
        click.echo(str(freeze), err=True)
        sys.exit(EXIT_FROZEN)


def _holding(path: Path, now: datetime) -> Freeze | None:
    try:
        return holding(path, now)
    except FreezeError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_FROZEN)


def _told(alertmanager: str, freeze: Freeze, ends: datetime) -> None:
    try:
        tell(alertmanager, freeze, ends)
    except requests.RequestException as error:
        click.echo(f"nobody was told: {alertmanager}: {type(error).__name__}", err=True)
        sys.exit(EXIT_FROZEN)


if __name__ == "__main__":
    main()
