"""The command line of the platform: `python -m monitoring COMMAND`.

Exit statuses a pipeline can use: 0 all is well, 1 `check` found something or `diff` a
difference, 2 a mistake in the command, the config or a spec.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from monitoring import config as configuration
from monitoring import generate as generating
from monitoring.errors import MonitoringError
from monitoring.options import DEFAULT_CONFIG as DEFAULT_CONFIG
from monitoring.options import config_and_environment, lenient_option
from monitoring.paths import shown

LAZY_COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("monitoring.checks.command:check", "Tell whether what is generated, or any file, makes sense."),
    "explain": ("monitoring.explain.command:explain", "Say how soon an SLO's alerts notice what, and what it costs."),
    "diff": ("monitoring.compare.command:diff", "Say what a change of specs does to detection and budget."),
    "init": ("monitoring.scaffold.command:init", "Write a ready project for any service: config, specs, runbooks."),
    "probe": ("monitoring.probes.command:probe", "Send canary messages between two clients and measure them."),
    "ledger": ("monitoring.probes.reckoning:ledger", "Tell what became of canaries, from the probers' own record."),
    "load": ("monitoring.load.command:load", "Hold many connections, send messages, and judge what became of each."),
    "proofs": ("monitoring.proofs.command:proofs", "Prove with promtool when each SLO's alerts fire and reset."),
    "gate": ("monitoring.gate.command:gate", "Stop a pipeline when an error budget is spent."),
    "report": ("monitoring.report.command:report", "Tell attainment, budget and incidents of a period."),
    "backtest": ("monitoring.backtest.command:backtest", "Tell what a spec would have alerted on recorded data."),
    "backfill": ("monitoring.backfill.command:backfill", "Compute slices that were not recorded, as TSDB blocks."),
    "event": ("monitoring.event.command:event", "Write down deploys, and list them."),
    "preview": ("monitoring.preview.command:preview", "Show dashboards on live data without Grafana, or as pictures."),
    "verify": ("monitoring.verify.command:verify", "Hold the deployment checklist against a cluster, and sign it."),
    "oncall": ("monitoring.oncall.command:oncall", "Receive alerts from Alertmanager, keep and show them."),
}
"""Commands that are imported only when they run: name -> (module:object, help of one line)."""


class LazyGroup(click.Group):
    """A group whose slow or broken commands cannot hurt the others, and whose errors are sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, the lazy ones by name only."""
        return sorted([*super().list_commands(ctx), *LAZY_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """For listings: a lazy command is only its line of help."""
        if cmd_name in LAZY_COMMANDS:
            return click.Command(cmd_name, help=LAZY_COMMANDS[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """For running: here a lazy command is imported."""
        name, command, rest = super().resolve_command(ctx, args)
        if name and name in LAZY_COMMANDS:
            module, _, attribute = LAZY_COMMANDS[name][0].partition(":")
            command = getattr(importlib.import_module(module), attribute)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run; what a user can mend is printed without a traceback."""
        try:
            return super().invoke(ctx)
        except MonitoringError as error:
            click.echo(str(error), err=True)
            ctx.exit(error.exit_status)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One set of SLO specs in; rules, alerts and dashboards out.

    \b
    A day's work:
      python -m monitoring init shop          once: a project for a new service
      edit monitoring/slos/*.yaml             change or add an objective
      python -m monitoring explain delivery   how soon it would alert on what
      python -m monitoring diff OLD slos      what the change does, for the pull request
      python -m monitoring generate           write alerts/ and dashboards/
      python -m monitoring check              what CI runs: is everything up to date?
      python -m monitoring check FILES...     are these specs, rules, boards right?

    Every mistake is told as FILE:LINE: message; COMMAND --help says more. Exit status:
    0 all is well; 1 the answer is no (`check`, `diff`, `gate`, `proofs`); 2 a mistake in
    the command, the config or a spec; 3 no answer or no data from Prometheus.
    """


@main.command()
@config_and_environment
@lenient_option
def generate(config_path: Path, environment: str, lenient: bool) -> None:
    """Write rules, alerts, configuration and dashboards.

    Files that are right already are not touched. A file that an earlier run
    generated, and that no spec asks for any more, is removed; others never are.

    \b
    Examples:
      python -m monitoring generate
      python -m monitoring generate --config shop/monitoring.yaml --env staging

    Exit status: 0 everything is written; 2 a mistake in the config or a spec, and
    then nothing is.
    """
    wanted = generating.plan(configuration.load(config_path, environment), lenient=lenient)
    for warning in wanted.warnings:
        click.echo(f"warning: {warning}", err=True)
    done = generating.write(wanted)
    for word, paths in (("new", done.missing), ("renewed", done.stale), ("removed", done.orphan)):
        for path in paths:
            click.echo(f"{word}: {shown(path)}")
    click.echo(f"{len(wanted.files)} files are up to date")


if __name__ == "__main__":
    main()
