"""`python -m monitoring gate`: asks Prometheus for the error budgets and ends with a status for the pipeline."""

from __future__ import annotations

import json
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from monitoring.errors import MonitoringError, UnreachableError
from monitoring.gate import verdict as verdicts
from monitoring.gate.verdict import Reading, Verdict
from monitoring.maths.durations import Duration
from monitoring.prometheus import access
from monitoring.prometheus.access import Access
from monitoring.rules import names, period, recording
from monitoring.spec.model import Slo

_MISSED_SLICES = 3


class Share(click.ParamType[Decimal]):
    """A share of 1, written 0.1 or 10%."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Fails outside 0 to 1."""
        text = str(value)
        try:
            share = Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)
        except InvalidOperation:
            self.fail(f"{text!r} is no share; expected 10% or 0.1", param, ctx)
        if not (share.is_finite() and 0 <= share <= 1):
            self.fail(f"{text!r} is not between 0% and 100%", param, ctx)
        return share


@click.command()
@click.argument("names_of_slos", metavar="[SLO]...", nargs=-1)
@access.options
@click.option(
    "--min-remaining",
    type=Share(),
    default="0%",
    show_default=True,
    help="Close the gate already when less than this share of the error budget remains.",
)
@click.option(
    "--missing",
    type=click.Choice(["fail", "pass"]),
    default="fail",
    show_default=True,
    help="What to do when there is no data of an SLO, or Prometheus does not answer.",
)
@click.option("--format", "as_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def gate(
    names_of_slos: tuple[str, ...],
    config_path: Path,
    environment: str,
    url: str | None,
    credentials_file: Path | None,
    lenient: bool,
    min_remaining: Decimal,
    missing: str,
    as_: str,
) -> None:
    """Stop a pipeline when the error budget of an SLO is spent.

    Reads what the rules recorded: nothing is computed anew, so the gate, the board and
    the alerts speak of the same numbers. Without an SLO it asks for every one of the config.

    \b
    For each SLO it prints:
      remaining    share of the error budget left over the SLO's own period; negative
                   when overspent (slo:error_budget_remaining:ratio)
      attainment   share of good events over that period, each weighing the same, agreed
                   maintenance left out (1 - slo:errors:ratio_period)
      burn rate    error ratio of the last hour (÷ window_divisor) divided by the budget;
                   at 1 the budget lasts exactly one period
      exhaustion   when what remains will be gone if that burn rate stays and no bad
                   event leaves the period meanwhile

    \b
    Exit status:
      0  every budget has something left, and at least --min-remaining
      1  a budget is spent (remaining <= 0, or less than --min-remaining)
      2  a mistake in the command, the config or a spec; no such SLO
      3  no data of an SLO, or no answer from Prometheus (--missing pass: 0)

    \b
    In a pipeline, before a deploy:
      python -m monitoring gate checkout search --min-remaining 10%
    """
    reached = access.opened(config_path, environment, url, credentials_file, lenient=lenient)
    slos = reached.chosen(names_of_slos)
    try:
        read = _readings(reached, slos)
        reached.warn_of_retention(slos)
    except UnreachableError as error:
        access.warn(str(error))
        read = {}
    reached.pass_warnings_on()
    profile = reached.config.profile
    nothing = Reading(None, None, None)
    found = [
        verdicts.judge(slo, read.get(slo.name, nothing), min_remaining, profile.window(slo.period)) for slo in slos
    ]
    status = verdicts.status(found, missing == "pass")
    _print(found, status, as_, profile.window(recording.FRESH_WINDOW))
    sys.exit(status)


def _readings(reached: Access, slos: tuple[Slo, ...]) -> dict[str, Reading]:
    profile = reached.config.profile
    valid = Duration(_MISSED_SLICES * profile.interval(period.SLICE))
    remaining = _by_slo(reached, names.BUDGET_REMAINING, slos)
    # Slices come every five minutes, as long as Prometheus looks back: without a range the value would flicker.
    # For that long an SLO whose service was renamed has two of them.
    ratio = _by_slo(reached, names.PERIOD_RATIO, slos, f"max by (slo_id) (last_over_time({{}}[{valid}]))")
    recent = _by_slo(reached, names.errors_ratio(profile.window(recording.FRESH_WINDOW)), slos)
    return {slo.name: Reading(*(found.get(slo.name) for found in (remaining, ratio, recent))) for slo in slos}


def _by_slo(reached: Access, name: str, slos: tuple[Slo, ...], form: str = "{}") -> dict[str, float]:
    """One query for all; the value of each SLO that has one."""
    selector = name if len(slos) > 1 else names.of(name, slos[0].name) if slos else name
    found: dict[str, float] = {}
    wanted = {slo.name for slo in slos}
    for series in reached.client.instant(form.format(selector)):
        slo_id = series.labels.get("slo_id", "")
        if slo_id in found and slo_id in wanted:
            raise MonitoringError(f"{reached.client.shown_url}: two series {name} of SLO {slo_id}; expected one")
        found[slo_id] = series.points[0].value
    return found


def _print(found: list[Verdict], status: int, as_: str, recent: Duration) -> None:
    if as_ == "json":
        told = {"status": status, "burn_rate_window": str(recent), "slos": [verdict.to_json() for verdict in found]}
        click.echo(json.dumps(told, indent=2))
        return
    for verdict in found:
        click.echo(verdicts.text(verdict, recent))
