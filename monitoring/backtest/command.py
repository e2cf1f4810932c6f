"""`python -m monitoring backtest`: a spec against history, before anybody is woken by it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from monitoring.backtest import simulate
from monitoring.backtest.simulate import Answer
from monitoring.errors import OutOfRangeError
from monitoring.maths.durations import Duration
from monitoring.prometheus import access, slices
from monitoring.prometheus.budget import Budget, budget
from monitoring.prometheus.client import Client
from monitoring.prometheus.read import POINTS_AT_ONCE, computed_slices
from monitoring.prometheus.shown import iso, number, percent, shown_length, shown_time
from monitoring.prometheus.slices import Coverage
from monitoring.prometheus.times import moment
from monitoring.rules.build import slo_file
from monitoring.rules.model import Group
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo

NO_DATA = 3


@dataclass(frozen=True)
class Backtest:
    """What one SLO would have done from `start` to `end`."""

    slo: Slo
    start: float
    end: float
    budget: Budget
    coverage: Coverage
    answers: tuple[Answer, ...]

    def to_json(self) -> dict[str, Any]:
        """With fixed keys: shares of 1, counts, UTC."""
        return {
            "slo": self.slo.name,
            "start": iso(self.start),
            "end": iso(self.end),
            "objective": float(self.slo.target),
            "bad": self.budget.tally.errors,
            "total": self.budget.tally.events,
            "attainment": self.budget.attainment,
            "budget_spent": self.budget.spent,
            "coverage": {"slices_present": self.coverage.present, "slices_expected": self.coverage.expected},
            "alerts": [one.to_json(self.end) for one in self.answers],
        }


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@access.options
@click.option("--slo", "wanted", multiple=True, help="Only this SLO of the specs; may be given several times.")
@click.option("--from", "start", default="-7d", show_default=True, help="Begin: -7d, 2026-10-01, 2026-10-01T12:00Z.")
@click.option("--to", "end", default="now", show_default=True, help="End, in the same notation.")
@click.option("--step", help="Evaluate every alert this often, such as 15s; see above for what happens without it.")
@click.option("--format", "as_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def backtest(
    specs: tuple[Path, ...],
    config_path: Path,
    environment: str,
    url: str | None,
    credentials_file: Path | None,
    lenient: bool,
    wanted: tuple[str, ...],
    start: str,
    end: str,
    step: str | None,
    as_: str,
) -> None:
    """Tell what the alerts of a spec would have done with recorded data.

    SPEC is a file or folder with the SLO and its Service; nothing of it need run yet. The
    rules are the ones that `generate` would write, with raw metrics in the place of
    recorded series; Prometheus evaluates them over the past. Its raw data must reach back
    to --from and one long window more, or the first incidents may be missed.

    \b
    What the numbers mean:
      start, end   the first evaluation that fires, after `for`, and the first that does not
      at most      highest error ratio of the tier's long window while it fired
      step         how far apart evaluations are, and so how late a start or end may be told:
                   the group's interval, or a twentieth of the short window where that is longer
      attainment   good ÷ all events of the whole span, from slices as the rules take them;
                   coverage says of how many slices there was raw data. Maintenance is not left out
      budget       1 - target of the span's events; spent is bad ÷ that

    \b
    Exit status:
      0  told, whether anything would have fired or not
      2  a mistake in the command, the config or a spec
      3  Prometheus does not answer, or has no data of any of the SLOs
    """
    reached = access.opened(config_path, environment, url, credentials_file, specs, lenient=lenient)
    now = time.time()
    first, last = moment(start, now), min(moment(end, now), now)
    if first >= last:
        raise OutOfRangeError(f"--from {start} is not before --to {end}")
    fixed = Duration.parse(step) if step else None
    profile = reached.config.profile
    found = [_backtest(reached.client, slo, profile, first, last, fixed) for slo in reached.chosen(wanted)]
    reached.pass_warnings_on()
    if as_ == "json":
        click.echo(json.dumps({"slos": [one.to_json() for one in found]}, indent=2))
    else:
        click.echo("\n".join(line for one in found for line in _lines(one)))
    if not any(one.coverage.present for one in found):
        sys.exit(NO_DATA)


def _backtest(client: Client, slo: Slo, profile: Profile, start: float, end: float, step: Duration | None) -> Backtest:
    groups = slo_file(slo, profile).groups
    answers = []
    for question in simulate.questions(slo, groups, profile, step):
        # On the clock's own grid, as Prometheus evaluates; two runs then agree.
        first = -(-start // question.step) * question.step
        series = client.range(question.expr, first, end, question.step, POINTS_AT_ONCE)
        answers.append(simulate.answer(question, series, end))
    spent, coverage = _budget(client, slo, groups, profile, start, end)
    return Backtest(slo, start, end, spent, coverage, tuple(answers))


def _budget(
    client: Client, slo: Slo, groups: Sequence[Group], profile: Profile, start: float, end: float
) -> tuple[Budget, Coverage]:
    rhythm = slices.rhythm(groups, profile)
    ends = list(slices.grid(start, end, rhythm.interval, 0))
    if not ends:
        return budget(slo, slices.tally(())), Coverage(0, 0)
    found = slices.distinct(computed_slices(client, slo, groups, rhythm, ends[0], ends[-1]), rhythm.length)
    return budget(slo, slices.tally(found)), slices.coverage(found, start, end, rhythm.interval)


def _lines(told: Backtest) -> Iterator[str]:
    coverage = told.coverage
    share = percent(coverage.share, 2)
    yield f"{told.slo.name}: {shown_time(told.start)} to {shown_time(told.end)}"
    yield (
        f"  attainment {percent(told.budget.attainment)} of {percent(float(told.slo.target))}; "
        f"budget of this span {percent(told.budget.spent, 2)} spent; "
        f"{number(told.budget.tally.errors)} bad of {number(told.budget.tally.events)}"
    )
    yield f"  coverage {coverage.present} of {coverage.expected} slices ({share})"
    for answer in told.answers:
        question = answer.question
        severity = question.alert.labels.get("severity", "")
        count = len(answer.incidents)
        would = f"would have fired {count} time{'' if count == 1 else 's'}" if count else "would not have fired"
        yield f"  {severity} {question.tier}: {would} (step {question.step})"
        for one in answer.incidents:
            end = "still firing" if one.end is None else shown_time(one.end)
            length = shown_length(one.length_s(told.end))
            yield f"    {shown_time(one.start)} to {end} ({length}), at most {percent(one.peak, 2)} bad"
