"""`python -m monitoring oncall`: the receiver's process."""

from __future__ import annotations

import signal
from pathlib import Path

import click
import gevent
from gevent.pywsgi import WSGIServer

from monitoring.errors import ConfigError, Mistake
from monitoring.oncall.store import Store
from monitoring.oncall.web import USER, create_app

MIN_SECRET_CHARS = 16


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9095, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--database", required=True, type=click.Path(path_type=Path, dir_okay=False), help="SQLite file; made on first use."
)
@click.option(
    "--token-file", required=True, type=click.Path(path_type=Path), help="Bearer token that the webhook asks for."
)
@click.option(
    "--password-file",
    required=True,
    type=click.Path(path_type=Path),
    help=f"Password of the user '{USER}' for the page.",
)
@click.option(
    "--deployments",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Journal of `event deploy`, read at each scrape: /metrics then has monitoring_deploy_timestamp_seconds.",
)
@click.option(
    "--maintenance",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The maintenance file of monitoring.yaml, read each time the page is shown: it says what is agreed on.",
)
def oncall(
    host: str,
    port: int,
    database: Path,
    token_file: Path,
    password_file: Path,
    deployments: Path | None,
    maintenance: Path | None,
) -> None:
    """Receive Alertmanager's notifications at /alertmanager, keep them, and show them at /.

    Runs until SIGTERM. Needs nothing but its own SQLite file.
    """
    app = create_app(Store(database), _secret(token_file), _secret(password_file), deployments, maintenance)
    server = WSGIServer((host, port), app, log=None)
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, server.stop)
    server.serve_forever()


def _secret(path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise ConfigError([Mistake(str(path), 1, f"cannot be read: {error.strerror}")]) from None
    if len(secret) < MIN_SECRET_CHARS:
        raise ConfigError([Mistake(str(path), 1, f"a secret needs at least {MIN_SECRET_CHARS} characters")])
    return secret
