"""`python -m monitoring probe`: the prober's process."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click
from prometheus_client import start_http_server

from monitoring.errors import ConfigError
from monitoring.probes.prober import Prober
from monitoring.probes.settings import load

LOOK_EVERY_S = 2.0
"""How often probes.yaml is looked at for changes."""

log = logging.getLogger("probe")


@click.command()
@click.argument("settings_file", metavar="PROBES.YAML", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--check", is_flag=True, help="Read the file, say what it means, and end.")
def probe(settings_file: Path, check: bool) -> None:
    """Try what people do with the messenger, over and over, and measure what becomes of it.

    Runs until SIGTERM. Each canary message ends as delivered, late, lost or send_failed; duplicates, reordering and
    corruption are counted beside that. Every other run is ok or failed, with the reason; what was the prober's own
    fault is counted apart. The section `probes` of the file may be changed meanwhile.
    """
    settings = load(settings_file)
    if check:
        for kind, one in settings.file.probes.items():
            click.echo(f"{kind}: every {one.every}, at most {one.timeout}")
        click.echo(f"canaries take {len(settings.routes)} ways")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # what it skips is counted, by name
    prober = Prober(settings)
    start_http_server(settings.file.metrics.port, settings.file.metrics.host, prober.metrics.registry)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    prober.start()
    _watch(settings_file, prober, stop)
    prober.stop()


def _watch(path: Path, prober: Prober, stop: threading.Event) -> None:
    """Follow the file until `stop`. What cannot be read or followed is told, and the prober goes on as before."""
    seen = _version(path)
    while not stop.wait(LOOK_EVERY_S):
        version = _version(path)
        if version == seen:
            continue
        seen = version
        try:
            prober.follow(load(path))
        except (ConfigError, ValueError, OSError) as error:
            prober.metrics.settings_loaded.set(0)
            log.warning("%s is not followed: %s", path, error)
        else:
            log.warning("%s was changed, and is followed", path)


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
