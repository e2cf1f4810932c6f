"""`python -m monitoring preview`: a server, or pictures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from monitoring import config as configuration
from monitoring.errors import PrometheusError
from monitoring.preview.boards import Shelf, all_right
from monitoring.preview.server import Source, create_app, listen, require_built, running
from monitoring.preview.upstream import QUERY_TIMEOUT_S, Upstream
from monitoring.prometheus.access import client, source_options
from monitoring.prometheus.client import Client

DEFAULT_PORT = 3002
_OF_SHOTS = ("theme", "start", "end", "variables", "width", "scale", "timeout_s")


def _pairs(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> list[tuple[str, str]]:
    """NAME=VALUE, each."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
    return [(value.partition("=")[0], value.partition("=")[2]) for value in values]


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[FILES]...")
@source_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; nobody is asked to log in.")
@click.option(
    "--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@click.option(
    "--shot", "folder", type=click.Path(path_type=Path, file_okay=False), help="Write pictures there and end."
)
@click.option(
    "--theme", type=click.Choice(["dark", "light", "both"]), default="both", show_default=True, help="Of the pictures."
)
@click.option("--from", "start", help="Start of their time range, as Grafana writes it; the board's own without it.")
@click.option("--to", "end", help="End of their time range.")
@click.option(
    "--var", "variables", multiple=True, callback=_pairs, metavar="NAME=VALUE",
    help="A variable's value in the pictures; repeat it for more values or variables.",
)  # fmt: skip
@click.option(
    "--width", default=1600, show_default=True, type=click.IntRange(320, 7680), help="Width of the pictures' page."
)
@click.option(
    "--scale", default=1, show_default=True, type=click.IntRange(1, 3), help="Pixels for each pixel of that width."
)
@click.option(
    "--timeout", "timeout_s", default=60.0, show_default=True, type=click.FloatRange(1, 600),
    help="Seconds for each picture.",
)  # fmt: skip
@click.pass_context
def preview(
    ctx: click.Context,
    files: tuple[Path, ...],
    config_path: Path,
    environment: str,
    url: str | None,
    credentials_file: Path | None,
    host: str,
    port: int,
    folder: Path | None,
    theme: str,
    start: str | None,
    end: str | None,
    variables: list[tuple[str, str]],
    width: int,
    scale: int,
    timeout_s: float,
) -> None:
    """Show dashboards on live Prometheus data, without a Grafana.

    FILES are dashboards as JSON, ConfigMaps of such, or folders of them; without any,
    the dashboards of the project. They are read again at each reload of the page. Every
    query goes to one Prometheus, whatever data source a board names.

    With --shot nothing is served: each board is drawn by a headless Chromium and
    written as FOLDER/UID-THEME.png, for reviews and for CI.

    \b
    Examples:
      python -m monitoring preview --prometheus http://127.0.0.1:9091
      python -m monitoring preview board.json --prometheus http://127.0.0.1:9091
      python -m monitoring preview --shot pictures --theme dark --from now-1h
      python -m monitoring preview --shot pictures --var instance=node1:9090

    Exit status: 0 ended by a signal, or every picture is well; 1 a panel shows an error,
    told in a line each; 2 a mistake in the command, the config or a file; 3 --shot found
    no Prometheus.
    """
    if folder is None:
        _only_with_shot(ctx)
    config = configuration.load(config_path, environment)
    shelf = Shelf(files or (config.dashboards_folder,))
    boards = all_right(shelf.read())
    require_built()
    asked = client(config, url, credentials_file, QUERY_TIMEOUT_S)
    app = create_app(shelf, Source(Upstream(asked), str(config.environment.scrape_interval)), host)
    if folder is None:
        listening = listen(app, host, port)
        _warn_of_silence(asked)
        click.echo(f"{listening.url}  {len(boards)} dashboards, data from {asked.shown_url}; Ctrl-C ends it")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        listening.server.serve_forever()
        return
    # Imported only here: serving needs neither playwright nor a browser.
    from monitoring.preview.shots import Look, take, told

    asked.instant("vector(1)")
    themes = ("dark", "light") if theme == "both" else (theme,)
    parameters = [("from", start), ("to", end), *((f"var-{name}", value) for name, value in variables)]
    look = Look(themes, width, scale, timeout_s, [(key, value) for key, value in parameters if value is not None])
    troubles = 0
    with running(app) as here:
        for shot in take(here, boards, folder, look):
            click.echo(told(shot))
            for trouble in shot.troubles:
                click.echo(str(trouble), err=True)
            troubles += len(shot.troubles)
    ctx.exit(1 if troubles else 0)


def _only_with_shot(ctx: click.Context) -> None:
    for parameter in ctx.command.params:
        if parameter.name in _OF_SHOTS and ctx.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{parameter.opts[0]} is about pictures; it needs --shot")


def _warn_of_silence(asked: Client) -> None:
    try:
        asked.instant("vector(1)")
    except PrometheusError as error:
        click.echo(f"warning: {error}; panels will say so until it answers", err=True)
