"""`python -m monitoring explain`: what an SLO means, before it is relied on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from monitoring import config as configuration
from monitoring.document import Block, render
from monitoring.errors import ConfigError, Mistake, OutOfRangeError
from monitoring.explain.page import as_data, page
from monitoring.explain.tables import explain as explained
from monitoring.options import config_and_environment, output_format
from monitoring.paths import shown
from monitoring.spec import reader
from monitoring.spec.model import Slo


@click.command()
@click.argument("slos", nargs=-1, metavar="[SLO]...")
@config_and_environment
@output_format
def explain(slos: tuple[str, ...], config_path: Path, environment: str, form: str) -> None:
    """Say what an SLO promises, how soon which failure is noticed, and what it costs.

    For each SLO named, or for all: its error budget in plain words, its alerts, a
    table of detection, reset and budget spent for failures of every size, which
    failures page nobody within five minutes, how much traffic its alerts need, and
    how many series and rule evaluations it adds. The figures come from the rules
    that `generate` writes, and need no Prometheus.

    \b
    Examples:
      python -m monitoring explain                       every SLO
      python -m monitoring explain delivery requests     two of them
      python -m monitoring explain delivery --format markdown > delivery.md

    Exit status: 0 explained; 2 a mistake in the config or a spec, or no such SLO.
    """
    config = configuration.load(config_path, environment)
    known = {slo.name: slo for slo in reader.load(config.specs)}
    group_wait = config.environment.alertmanager.group_wait
    try:
        found = [explained(slo, config.profile, group_wait) for slo in _named(slos, known, config_path)]
    except OutOfRangeError as error:
        raise config.mistake(str(error), "window_divisor") from error
    if form == "json":
        click.echo(json.dumps([as_data(one) for one in found], indent=2, ensure_ascii=False))
        return
    blocks: list[Block] = [block for one in found for block in page(one)]
    click.echo(render(blocks, "text" if form == "text" else "markdown"), nl=False)


def _named(names: Iterable[str], known: dict[str, Slo], config_path: Path) -> list[Slo]:
    wanted = list(dict.fromkeys(names)) or list(known)
    if unknown := [name for name in wanted if name not in known]:
        message = f"no SLO {', '.join(map(repr, unknown))} among its specs; there is {', '.join(known) or 'none'}"
        raise ConfigError([Mistake(shown(config_path), None, message)])
    return [known[name] for name in wanted]
