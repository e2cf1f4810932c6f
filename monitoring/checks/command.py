"""`python -m monitoring check`: of a project, or of files."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from monitoring import check as project
from monitoring import config as configuration
from monitoring import generate
from monitoring.checks import programs
from monitoring.checks.run import Result
from monitoring.checks.run import check as check_files
from monitoring.maths.durations import Duration
from monitoring.options import config_and_environment, lenient_option
from monitoring.rules.profile import Profile

_PROFILE = Profile(Duration(15), Duration(15), 1, "https://runbooks.example.com/", "https://grafana.example.com/d/")
"""What rules are built for when specs are checked outside any project: a scrape every 15 s."""


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[FILES]...")
@lenient_option
@config_and_environment
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], lenient: bool, config_path: Path, environment: str) -> None:
    """Tell whether what is generated is up to date, or whether FILES make sense.

    Without FILES: rebuilds everything in memory and prints what is missing, stale or an
    orphan; then looks at the rules and dashboards themselves.

    With FILES, or folders of them: each is told apart by what it says and judged as
    what it is: SLO specs (OpenSLO and sloth's) are read and turned into rules;
    Prometheus rules, PrometheusRules and rule tests; configurations of Prometheus and
    Alertmanager; Grafana dashboards; maintenance lists; a monitoring.yaml. No project
    is needed; with --config, windows are judged at the rhythm of its environment.
    promtool and amtool are asked too where they are installed.

    Changes nothing. Each finding is one line, FILE:LINE: message; a warning says so.

    \b
    Examples:
      python -m monitoring check                         what CI runs
      python -m monitoring check slos/ dashboards/a.json
      python -m monitoring check --lenient vendor/specs

    Exit status: 0 all is right, or only warnings; 1 something is wrong; 2 a mistake in
    the command, and without FILES one in the config or a spec.
    """
    if files:
        _say(check_files(files, _profile(ctx, config_path, environment), lenient=lenient))
        return
    wanted = generate.plan(configuration.load(config_path, environment), lenient=lenient)
    for warning in wanted.warnings:
        click.echo(f"warning: {warning}", err=True)
    found = project.problems(wanted)
    for line in found:
        click.echo(line, err=True)
    if found:
        sys.exit(1)
    click.echo(f"{len(wanted.files)} generated files are up to date")


def _profile(ctx: click.Context, config_path: Path, environment: str) -> Profile:
    if ctx.get_parameter_source("config_path") is ParameterSource.DEFAULT:
        return _PROFILE
    return configuration.load(config_path, environment).profile


def _say(result: Result) -> None:
    for finding in result.findings:
        click.echo(str(finding), err=True)
    errors = sum(not finding.doubt for finding in result.findings)
    counts = [_many(n, kind.value) for kind, n in result.counts.items()]
    told = f"{', '.join(counts) or 'nothing to check'}: {_many(errors, 'error')}"
    if warnings := len(result.findings) - errors:
        told += f", {_many(warnings, 'warning')}"
    if result.left_alone:
        told += f"; {_many(result.left_alone, 'other file')} left alone"
    if missing := programs.missing():
        told += f"; not installed, so not asked: {', '.join(missing)}"
    click.echo(told)
    if not result.is_right:
        sys.exit(1)


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
