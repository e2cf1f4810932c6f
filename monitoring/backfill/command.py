"""`python -m monitoring backfill`: the budget of a new SLO need not wait a month for its first full period."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from monitoring.backfill import blocks, plan
from monitoring.backfill.plan import Missing
from monitoring.errors import OutOfRangeError
from monitoring.paths import shown
from monitoring.prometheus import access, slices
from monitoring.prometheus.client import Client
from monitoring.prometheus.read import computed_slices, read_slices
from monitoring.prometheus.shown import percent, shown_time
from monitoring.prometheus.slices import Slice
from monitoring.prometheus.times import moment
from monitoring.rules import names
from monitoring.rules.build import slo_file
from monitoring.rules.inline import recorded
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo

NOTHING_WRITTEN = 3


@dataclass(frozen=True)
class Filled:
    """What was missing of one SLO, and what raw data gave of that."""

    slo: Slo
    before: Missing
    computed: tuple[Slice, ...]
    labels: plan.Labels


@click.command()
@click.argument("names_of_slos", metavar="[SLO]...", nargs=-1)
@access.options
@click.option("--from", "start", help="Begin: -30d, 2026-10-01, 2026-10-01T12:00Z; unless said, one period ago.")
@click.option("--to", "end", default="now", show_default=True, help="End, in the same notation.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A new or empty folder; the blocks appear in it all at once or not at all.",
)
@click.option("--promtool", help="Which promtool to run; the one on the PATH unless said.")
def backfill(
    names_of_slos: tuple[str, ...],
    config_path: Path,
    environment: str,
    url: str | None,
    credentials_file: Path | None,
    lenient: bool,
    start: str | None,
    end: str,
    output: Path,
    promtool: str | None,
) -> None:
    """Compute slices that were not recorded, from raw data, as blocks for Prometheus.

    For an SLO that is new, or whose rules did not run for a while. Asks which slices are
    missing, evaluates the rules' own expressions at just those moments, and writes the
    results as blocks of Prometheus' database; nothing is written to the Prometheus itself.
    Without an SLO it does so for every one of the config.

    A slice that exists is never written again, nor one that would overlap it. Slices later
    than the oldest sample that Prometheus still holds in memory (its head, two to three hours)
    are left for later: a block there would make it drop samples at its next start.

    Coverage is slices present ÷ slices expected from --from to --to. Where there is no raw
    data, as when Prometheus itself was down, nothing can be computed and nothing is.

    \b
    Exit status:
      0  blocks were written, or nothing was missing
      2  a mistake in the command, the config or a spec; cannot be written
      3  Prometheus does not answer, or slices are missing and none could be computed
    """
    reached = access.opened(config_path, environment, url, credentials_file, lenient=lenient)
    slos, profile, now = reached.chosen(names_of_slos), reached.config.profile, time.time()
    program = blocks.promtool(promtool)
    blocks.check_free(output)
    asked = min(moment(end, now), now)
    last = min(asked, reached.client.head_min_time())
    filled = []
    for slo in slos:
        first = moment(start, now) if start else now - profile.window(slo.period)
        if first >= asked:
            raise OutOfRangeError(f"--from {start} is not before --to {end}")
        filled.append(_fill(reached.client, slo, profile, first, last))
    reached.pass_warnings_on()
    if last < asked - 1:
        access.warn(f"what is later than {shown_time(last)} is still in Prometheus' head; run this again in some hours")
    for one in filled:
        click.echo(_line(one))
    if not any(one.computed for one in filled):
        click.echo("nothing was written")
        sys.exit(NOTHING_WRITTEN if any(one.before.ends for one in filled) else 0)
    text = plan.openmetrics({one.labels: one.computed for one in filled if one.computed})
    names_of_blocks = blocks.create(program, text, output)
    click.echo(_advice(output, names_of_blocks))


def _fill(client: Client, slo: Slo, profile: Profile, start: float, end: float) -> Filled:
    groups = slo_file(slo, profile).groups
    rhythm = slices.rhythm(groups, profile)
    there = read_slices(client, slo, rhythm, start - rhythm.interval, end + rhythm.interval)
    before = plan.missing(there, start, end, rhythm)
    computed: list[Slice] = []
    for first, last in plan.runs(before.ends, rhythm.interval):
        computed += computed_slices(client, slo, groups, rhythm, first, last)
    labels = next(one.rule.labels for one in recorded(groups) if one.rule.record == names.SLICE_EVENTS)
    return Filled(slo, before, tuple(computed), tuple(sorted(labels.items())))


def _line(one: Filled) -> str:
    present, expected = one.before.present, one.before.expected
    after = present + len(one.computed)
    share_before, share_after = (percent(n / expected if expected else 1.0, 2) for n in (present, after))
    line = (
        f"{one.slo.name}: coverage {present} of {expected} slices ({share_before}) before, "
        f"{after} ({share_after}) with these blocks"
    )
    without = expected - after
    return f"{line}; {without} cannot be computed, there is no raw data" if without else line


def _advice(output: Path, names_of_blocks: list[str]) -> str:
    return (
        f"written: {len(names_of_blocks)} blocks in {shown(output)}\n"
        "Move them into Prometheus' data folder (--storage.tsdb.path), owned by its user; it finds them within a\n"
        "minute, or at its next start. On Debian:\n"
        f"  chown -R prometheus: {output}/* && mv {output}/* /var/lib/prometheus/metrics2/\n"
        "Then the period's rules see them at their next evaluation."
    )
