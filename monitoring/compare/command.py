"""`python -m monitoring diff`: what a change of specs does, told before it is merged."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from monitoring import config as configuration
from monitoring import specs
from monitoring.compare.page import as_data, page
from monitoring.compare.tables import compare
from monitoring.config import Config
from monitoring.document import render
from monitoring.errors import OutOfRangeError
from monitoring.explain.tables import Explanation, explain
from monitoring.options import config_and_environment, lenient_option, output_format

_PATH = click.Path(path_type=Path, exists=True)


@click.command()
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@lenient_option
@config_and_environment
@output_format
def diff(old: Path, new: Path, lenient: bool, config_path: Path, environment: str, form: str) -> None:
    """Say what a change of specs does to detection and budget.

    OLD and NEW are spec files or folders of them; each must be whole by itself, with
    its Service. SLOs are matched by name. For each that changed: whether it got
    stricter or looser, what was written differently, and what follows: budget,
    detection and reset at 100 %, 50 % and 10 % bad, traffic needed, alerts, cost.
    Where a spec stands and how it is formatted makes no difference.

    \b
    Example, as a comment on a pull request:
      git worktree add /tmp/before origin/main
      python -m monitoring diff /tmp/before/slos slos --format markdown

    Exit status, as diff(1): 0 no SLO differs; 1 some do; 2 a mistake in the command,
    the config or a spec.
    """
    config = configuration.load(config_path, environment)
    found = compare(_explained(old, config, lenient), _explained(new, config, lenient))
    if form == "json":
        click.echo(json.dumps(as_data(found), indent=2, ensure_ascii=False))
    else:
        click.echo(render(page(found), "text" if form == "text" else "markdown"), nl=False)
    sys.exit(1 if found else 0)


def _explained(path: Path, config: Config, lenient: bool) -> list[Explanation]:
    slos, warnings = specs.read([path], lenient=lenient)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    try:
        return [explain(slo, config.profile, config.environment.alertmanager.group_wait) for slo in slos]
    except OutOfRangeError as error:
        raise config.mistake(str(error), "window_divisor") from error
