"""`python -m monitoring init`: from nothing to rules in one minute."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import click

from monitoring.errors import CannotWriteError
from monitoring.paths import failed, shown
from monitoring.scaffold.project import Project, files, taken


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--service", help="Name of the service.  [default: the name of DIR]")
@click.option("--job", help="Scrape job of its metrics.  [default: the service]")
@click.option("--target", default="localhost:8000", show_default=True, help="Where its metrics are scraped, host:port.")
@click.option("--requests", default=Project.requests, show_default=True, help="A counter of its requests.")
@click.option("--errors", default=Project.errors, show_default=True, help="Label matchers of requests that failed.")
@click.option("--duration", default=Project.duration, show_default=True, help="A histogram of how long they took.")
@click.option("--within", default=Project.within, show_default=True, help="Seconds; the bound of one of its buckets.")
def init(
    folder: Path,
    service: str | None,
    job: str | None,
    target: str,
    requests: str,
    errors: str,
    duration: str,
    within: str,
) -> None:
    """Write a ready project for any service into DIR.

    monitoring.yaml with every key explained, a Service and two objectives
    (availability and latency) for a service that counts its requests and times them,
    runbooks to fill in, and a README that says how to see an alert fire. No file is
    ever overwritten: when one of them exists, nothing is written and the files are
    named.

    \b
    Examples:
      python -m monitoring init shop
      python -m monitoring init slo --service shop --target shop1:8000 \\
          --requests flask_http_request_total --duration flask_http_request_duration_seconds

    Exit status: 0 written; 2 files are in the way, or an option cannot be meant.
    """
    name = service or _name_of(folder)
    project = Project(name, job or name, target, requests, errors, duration, within)
    texts = files(project)
    if existing := taken(folder, texts):
        names = "\n".join(f"{shown(path)}: exists already" for path in existing)
        raise CannotWriteError(f"{names}\nnothing was written; move these away or choose another folder")
    _write(folder, texts)
    for path in texts:
        click.echo(f"new: {shown(folder / path)}")
    config = shown(folder / "monitoring.yaml")
    option = f"--config {shlex.quote(config)}"
    click.echo(
        f"\nNext:\n"
        f"  edit {config}: where Prometheus, Alertmanager and on-call are\n"
        f"  python -m monitoring generate {option}\n"
        f"  python -m monitoring explain {option}\n"
        f"  python -m monitoring check {option}      (what CI runs)\n"
        f"  read {shown(folder / 'README.md')}: how to see an alert fire within seconds\n"
        f"  fill in {shown(folder / 'runbooks')}\n"
        f"In {shown(folder)} itself --config may be left out."
    )


def _name_of(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).lstrip("-0123456789")
    return name[:50].rstrip("-") or "service"


def _write(folder: Path, texts: Mapping[PurePosixPath, str]) -> None:
    """All or nothing: first everything beside the folder, then each file to its place."""
    made: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".init.") as staging:
            for name, text in texts.items():
                staged = Path(staging, name)
                staged.parent.mkdir(parents=True, exist_ok=True)
                staged.write_text(text, encoding="utf-8")
            for name in texts:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                # A link fails where a file has appeared in the meantime; a rename would replace it.
                (folder / name).hardlink_to(Path(staging, name))
                made.append(folder / name)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise CannotWriteError(f"{failed(error)}; nothing was written") from error
