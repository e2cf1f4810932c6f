"""`python -m monitoring check`: of a project, or of files."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click
from click.core import ParameterSource

from monitoring import check as project
from monitoring import config as configuration
from monitoring import generate
from monitoring.checks import boards, exclusions, metricsource, outputs, programs
from monitoring.checks.run import Result
from monitoring.checks.run import check as check_files
from monitoring.lint.model import Severity
from monitoring.lint.run import RULES
from monitoring.maths.durations import Duration
from monitoring.options import config_and_environment, lenient_option
from monitoring.rules.profile import Profile

_PROFILE = Profile(Duration(15), Duration(15), 1, "https://runbooks.example.com/", "https://grafana.example.com/d/")
"""What rules are built for when specs are checked outside any project: a scrape every 15 s."""


ALL_RULES = (*boards.OF_FILES.rules, *RULES)
"""Every rule about dashboards."""

_SEVERITIES = [severity.name.lower() for severity in Severity]


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[FILES]...")
@click.option(
    "--metrics",
    "source",
    metavar="SOURCE",
    help="Which metrics there are: the URL of a Prometheus, or a file in the text exposition format.",
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Findings to keep, each with its reason (docs/dashboard-rules/README.md).",
)
@click.option(
    "--severity",
    type=click.Choice(_SEVERITIES),
    default="warning",
    show_default=True,
    help="The least that is told.",
)
@click.option(
    "--fail-on",
    type=click.Choice([*_SEVERITIES, "never"]),
    default="error",
    show_default=True,
    help="The least that makes the exit status 1.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(outputs.FORMATS)),
    default="text",
    show_default=True,
    help="text for people; json, sarif and github for programs, on standard output.",
)
@click.option("--rules", "list_rules", is_flag=True, help="List the rules about dashboards, and leave.")
@lenient_option
@config_and_environment
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[Path, ...],
    source: str | None,
    exclude: Path | None,
    severity: str,
    fail_on: str,
    form: str,
    list_rules: bool,
    lenient: bool,
    config_path: Path,
    environment: str,
) -> None:
    """Tell whether what is generated is up to date, or whether FILES make sense.

    Without FILES: rebuilds everything in memory and prints what is missing, stale or an
    orphan; then looks at the rules and dashboards themselves.

    With FILES, or folders of them: each is told apart by what it says and judged as
    what it is: SLO specs (OpenSLO and sloth's) are read and turned into rules;
    Prometheus rules, PrometheusRules and rule tests; configurations of Prometheus and
    Alertmanager; Grafana dashboards, by the rules of docs/dashboard-rules, and beside
    them provisioned data sources; maintenance lists; a monitoring.yaml. No project is
    needed; with --config, windows are judged at the rhythm of its environment.
    promtool and amtool are asked too where they are installed.

    Changes nothing. Each finding is one line, FILE:LINE: message; warnings and notes say so.

    \b
    Examples:
      python -m monitoring check                         what CI runs
      python -m monitoring check slos/ dashboards/a.json
      python -m monitoring check --metrics http://localhost:9090 dashboards/
      python -m monitoring check --format sarif --fail-on warning dashboards/ > boards.sarif
      python -m monitoring check --lenient vendor/specs

    Exit status: 0 nothing as bad as --fail-on; 1 something is; 2 a mistake in the
    command, and without FILES one in the config or a spec; 3 no answer from --metrics.
    """
    if list_rules:
        for rule in ALL_RULES:
            click.echo(f"{rule.severity.name.lower():8}{rule.id:26}{rule.reason}")
        return
    if files:
        result = check_files(
            files,
            _profile(ctx, config_path, environment),
            lenient=lenient,
            metrics=metricsource.read(source) if source else None,
            exclusions=exclusions.load(exclude, [rule.id for rule in ALL_RULES]) if exclude else (),
        )
        _say(result, form, Severity[severity.upper()])
        worst = result.worst()
        if fail_on != "never" and worst is not None and worst >= Severity[fail_on.upper()]:
            sys.exit(1)
        return
    for name in ("source", "exclude", "form"):
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = {"source": "metrics", "form": "format"}.get(name, name)
            raise click.UsageError(f"--{option} is for FILES; name some")
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


def _say(result: Result, form: str, least: Severity) -> None:
    """The findings where programs or people look for them; what was counted, for people."""
    told = [finding for finding in result.findings if finding.severity >= least]
    click.echo(outputs.FORMATS[form](told, ALL_RULES), nl=False, err=form == "text")
    click.echo(_summary(result), err=form != "text")


def _summary(result: Result) -> str:
    by_severity = Counter(finding.severity for finding in result.findings)
    counts = [_many(n, kind.value) for kind, n in result.counts.items()]
    told = f"{', '.join(counts) or 'nothing to check'}: {_many(by_severity[Severity.ERROR], 'error')}"
    for severity in (Severity.WARNING, Severity.NOTE):
        if by_severity[severity]:
            told += f", {_many(by_severity[severity], severity.name.lower())}"
    if result.excluded:
        told += f", {result.excluded} excluded"
    if result.left_alone:
        told += f"; {_many(result.left_alone, 'other file')} left alone"
    if missing := programs.missing():
        told += f"; not installed, so not asked: {', '.join(missing)}"
    return told


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
