"""What the commands that ask a Prometheus share: their options, and the way from those to SLOs and a client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from monitoring import config as configuration
from monitoring import specs
from monitoring.config import Config
from monitoring.errors import ConfigError, Mistake, MonitoringError
from monitoring.files import replace
from monitoring.maths.durations import Duration
from monitoring.options import Command, config_and_environment, lenient_option
from monitoring.paths import shown
from monitoring.prometheus import retention
from monitoring.prometheus.client import QUERY_TIMEOUT_S, Client, Credentials
from monitoring.rules import period
from monitoring.spec.model import Slo


class UnknownSloError(MonitoringError):
    """An SLO was named that no spec has."""


@dataclass(frozen=True)
class Access:
    """A config, its SLOs, and the Prometheus that records them."""

    config: Config
    slos: tuple[Slo, ...]
    client: Client

    def chosen(self, wanted: Sequence[str]) -> tuple[Slo, ...]:
        """The named SLOs in the order given; every one when none is named. Raises UnknownSloError."""
        return chosen(self.slos, wanted)

    def warn_of_retention(self, slos: Sequence[Slo]) -> None:
        """Says on stderr when the Prometheus forgets before the longest period ends. Raises PrometheusError."""
        longest = max((self.config.profile.window(period.longest(slo)) for slo in slos), default=Duration(0))
        if message := retention.shortfall(self.client.flags(), longest):
            warn(message)

    def pass_warnings_on(self) -> None:
        """Says on stderr what the Prometheus said beside its answers."""
        for message in self.client.warnings:
            warn(f"{self.client.shown_url}: {message}")


def options(command: Command) -> Command:
    """--lenient, and those of `source_options`."""
    return source_options(lenient_option(command))


def source_options(command: Command) -> Command:
    """--config, --env, --prometheus and --credentials-file."""
    for option in (
        click.option(
            "--credentials-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Bearer token for --prometheus. The credentials of monitoring.yaml go to its own URL only.",
        ),
        click.option("--prometheus", "url", help="URL of the Prometheus to ask, instead of monitoring.yaml's."),
    ):
        command = option(command)
    return config_and_environment(command)


def opened(
    config_path: Path,
    environment: str,
    url: str | None,
    credentials_file: Path | None,
    paths: Sequence[Path] | None = None,
    *,
    lenient: bool = False,
) -> Access:
    """Read the config and the specs (the config's own unless said); nothing is asked yet.

    Raises ConfigError, SpecError.
    """
    config = configuration.load(config_path, environment)
    asked = client(config, url, credentials_file)
    slos, doubts = specs.read(paths or config.specs, lenient=lenient)
    for doubt in doubts:
        warn(str(doubt))
    return Access(config, slos, asked)


def client(
    config: Config, url: str | None, credentials_file: Path | None, timeout_s: float = QUERY_TIMEOUT_S
) -> Client:
    """The Prometheus of these options; nothing is asked yet. Raises ConfigError."""
    if url is not None and urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError([Mistake("--prometheus", None, f"expected an http or https URL, found {url!r}")])
    settings = config.environment.prometheus
    credentials = None
    if credentials_file:
        credentials = Credentials.read(credentials_file, None)
    elif settings.credentials_file and (url is None or _origin(url) == _origin(settings.url)):
        credentials = Credentials.read(config.resolve(settings.credentials_file), settings.username)
    return Client(url or settings.url, credentials, timeout_s)


def chosen(slos: Sequence[Slo], wanted: Sequence[str]) -> tuple[Slo, ...]:
    """The SLOs of these names, each once, in the order given; all without names.

    Raises UnknownSloError, also when there is none at all: a gate that asks for nothing must not open.
    """
    by_name = {slo.name: slo for slo in slos}
    if missing := [name for name in wanted if name not in by_name]:
        known = ", ".join(sorted(by_name)) or "none"
        raise UnknownSloError(f"no SLO {', '.join(map(repr, missing))}; there is {known}")
    if not slos:
        raise UnknownSloError("the specs have no SLO")
    return tuple(by_name[name] for name in dict.fromkeys(wanted)) if wanted else tuple(slos)


def warn(message: str) -> None:
    """A line on stderr that changes no exit status."""
    click.echo(f"warning: {message}", err=True)


def written(output: Path | None, content: str) -> None:
    """To stdout without a file; a file is whole or not touched. Raises CannotWriteError."""
    if output is None:
        click.echo(content, nl=not content.endswith("\n"))
    else:
        replace(output, content.encode())
        click.echo(f"written: {shown(output)}", err=True)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
