"""`python -m monitoring report`: what became of the objectives in a period."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from monitoring.deployments import journal
from monitoring.maths.durations import Duration
from monitoring.prometheus import access, slices
from monitoring.prometheus.access import Access
from monitoring.prometheus.shown import iso
from monitoring.report import gather, page, text
from monitoring.report import period as periods
from monitoring.report.figures import Figures, figures
from monitoring.rules.build import slo_file
from monitoring.spec.maintenance import Maintenance, load_maintenance
from monitoring.spec.model import Slo

NO_DATA = 3


@click.command()
@click.argument("names_of_slos", metavar="[SLO]...", nargs=-1)
@access.options
@click.option(
    "--period",
    help=f"{periods.EXPECTED}. Unless said, each SLO's own period as it stands now. "
    "One that is not over is told up to now.",
)
@click.option("--time-zone", default="UTC", show_default=True, help="Where days, weeks and months of --period begin.")
@click.option("--format", "as_", type=click.Choice(["text", "json", "html"]), default="text", show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there, whole or not at all; not to stdout."
)
def report(
    names_of_slos: tuple[str, ...],
    config_path: Path,
    environment: str,
    url: str | None,
    credentials_file: Path | None,
    lenient: bool,
    period: str | None,
    time_zone: str,
    as_: str,
    output: Path | None,
) -> None:
    """Tell attainment, error budget, incidents and deploys of a period.

    Without an SLO it tells of every one of the config. All comes from what the rules recorded.

    \b
    What the numbers mean:
      attainment   good ÷ all events of the slices that end in the period, each event
                   weighing the same, slices in agreed maintenance left out; with
                   maintenance it is given beside
      budget       1 - target of this period's events may be bad; spent is bad ÷ that.
                   recorded is slo:error_budget_remaining:ratio at the end, where the
                   period is the SLO's own
      coverage     slices present ÷ expected. What was not measured is in no number:
                   attainment is that of the measured part
      restarts     counter resets of the total, and how many events may be missing since
                   a process dies between two scrapes: for each series resets × mean rate ×
                   scrape interval. A process that comes back under another name is not seen
      incidents    spans in which ALERTS says that an alert of the SLO fired, as far as they
                   lie in the period; the worst error ratio is that of its short window

    \b
    Exit status:
      0  told
      2  a mistake in the command, the config or a spec; no such SLO; cannot be written
      3  Prometheus does not answer, or has no slice of any SLO in the period
    """
    reached = access.opened(config_path, environment, url, credentials_file, lenient=lenient)
    slos, now = reached.chosen(names_of_slos), time.time()
    wanted = periods.parse(period, now, periods.zone(time_zone)) if period else None
    reached.warn_of_retention(slos)
    deploys = journal.read(reached.config.deployments, tail_bytes=None).deployments
    here = [one for one in deploys if one.environment == environment]
    spans = _maintenance(reached)
    every = [_figures(reached, slo, wanted, now, here, spans) for slo in slos]
    reached.pass_warnings_on()
    access.written(output, _told(every, as_, now, reached))
    if not any(told.slices for told in every):
        sys.exit(NO_DATA)


def _maintenance(reached: Access) -> tuple[Maintenance, ...]:
    config = reached.config
    return load_maintenance(config.maintenance, reached.slos, (config.file.service,)) if config.maintenance else ()


def _figures(
    reached: Access,
    slo: Slo,
    wanted: periods.Span | None,
    now: float,
    deploys: Sequence[journal.Deployment],
    spans: Sequence[Maintenance],
) -> Figures:
    profile = reached.config.profile
    groups = slo_file(slo, profile).groups
    own = periods.own(slo, profile, now)
    span = wanted or own
    # A deploy of the config's own service may touch whatever it is made of.
    theirs = [one for one in deploys if one.service in (slo.service.name, reached.config.file.service)]
    same = span.end == now and abs(span.length_s - own.length_s) < Duration(1)
    found = gather.recorded(reached.client, slo, groups, profile, span, same, theirs)
    return figures(slo, span, slices.rhythm(groups, profile), found, spans)


def _told(every: Sequence[Figures], as_: str, now: float, reached: Access) -> str:
    source = reached.client.shown_url
    if as_ == "html":
        return page.page(every, now, source)
    if as_ == "json":
        told = {"made_at": iso(now), "prometheus": source, "slos": [one.to_json() for one in every]}
        return json.dumps(told, indent=2) + "\n"
    return text.text(every)
