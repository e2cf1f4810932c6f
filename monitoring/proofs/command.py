"""`python -m monitoring proofs`: shows that the alerts of each SLO fire and reset when they should."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from monitoring import config as configuration
from monitoring.errors import OpaqueError, OutOfRangeError
from monitoring.maths.durations import Duration
from monitoring.options import config_and_environment
from monitoring.oracle.simulate import Timeline
from monitoring.proofs import promtool
from monitoring.proofs.cases import Case
from monitoring.proofs.plan import Proof
from monitoring.proofs.plan import proofs as planned
from monitoring.spec import reader
from monitoring.spec.model import Slo

_AT_ONCE = 2
"""promtool uses one core; more at once only take memory."""


@dataclass(frozen=True)
class Outcome:
    """What promtool said of one proof."""

    proof: Proof
    proven: bool
    output: str
    took_s: float


@click.command()
@click.argument("names", metavar="[SLO]...", nargs=-1)
@click.option("--full", is_flag=True, help="Prove with production's windows: minutes instead of seconds.")
@config_and_environment
def proofs(names: tuple[str, ...], full: bool, config_path: Path, environment: str) -> None:
    """Prove with promtool that the alerts of each SLO fire and reset at the predicted evaluations.

    \b
    For each SLO a dozen stories are told to its own rules: a total outage, a
    partial fault, no traffic, counter resets, missing series, lone failures,
    flapping. What must happen is computed from the raw samples in Python,
    without PromQL; promtool says whether it does. Windows are scaled down so
    that this takes seconds, unless --full is given.

    An SLI that cannot be evaluated in Python is told as `unprovable`, with the
    reason. Exit status: 0 all is proven, 1 something does not hold or cannot be
    proven, 2 a mistake in the command, the config or a spec.
    """
    config = configuration.load(config_path, environment)
    slos = _chosen(reader.load(config.specs), names)
    well = True
    for slo in slos:
        try:
            plans = planned(slo, config.profile, full=full)
        except OpaqueError as error:
            click.echo(f"{slo.name}: unprovable: {error}", err=True)
            well = False
            continue
        for outcome in run(plans):
            click.echo("\n".join(report(outcome)))
            well &= outcome.proven
    if not well:
        sys.exit(1)


def run(plans: Iterable[Proof]) -> list[Outcome]:
    """Every proof, two at once. Raises MissingProgramError."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_run, plans))


def report(outcome: Outcome) -> Iterator[str]:
    """What a person reads of one proof."""
    proof, profile = outcome.proof, outcome.proof.scale.profile
    word = "proven" if outcome.proven else "FAILED"
    yield (
        f"{proof.name}: {word}: {len(proof.cases)} stories in {outcome.took_s:.1f} s; windows ÷ {profile.divisor}, "
        f"a scrape every {profile.scrape_interval}, an evaluation every {profile.evaluation_interval}"
    )
    for case in proof.cases:
        for timeline in case.timelines.values():
            yield f"  {timeline.condition.name:<18} {_told(case, timeline):<52} {case.name}"
    if not outcome.proven:
        yield outcome.output


def _run(proof: Proof) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="monitoring-proofs-") as name:
        folder = Path(name)
        for file, content in proof.files().items():
            (folder / file).write_bytes(content)
        before = time.monotonic()
        done = promtool.run(folder / f"{proof.name}.test.yml")
    return Outcome(proof, done.returncode == 0, done.stdout + done.stderr, time.monotonic() - before)


def _chosen(slos: Iterable[Slo], names: tuple[str, ...]) -> list[Slo]:
    known = {slo.name: slo for slo in slos}
    if unknown := sorted(set(names).difference(known)):
        raise OutOfRangeError(f"no SLO is named {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())


def _told(case: Case, timeline: Timeline) -> str:
    """When it fires first, or because of the story's fault, and how long it does."""
    if not timeline.intervals:
        return "silent"
    begin_s, end_s = case.fault_s or (0, None)
    intervals = [(fires // 1000, None if resets is None else resets // 1000) for fires, resets in timeline.intervals]
    fires_s, resets_s = next((one for one in intervals if one[0] > begin_s), intervals[0])
    again = f" ({len(intervals)} times)" if len(intervals) > 1 else ""
    if end_s is None:
        return f"fires from {Duration(fires_s)} {'on' if resets_s is None else f'to {Duration(resets_s)}'}{again}"
    fires = f"fires {_apart(fires_s - begin_s)} its begin"
    return f"{fires}, resets {'never' if resets_s is None else f'{_apart(resets_s - end_s)} its end'}{again}"


def _apart(seconds: int) -> str:
    return f"{Duration(abs(seconds))} {'after' if seconds >= 0 else 'before'}"
