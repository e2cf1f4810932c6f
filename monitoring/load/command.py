"""`python -m monitoring load`: options in, report and exit status out."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from monitoring.load import plan, report
from monitoring.load.run import Options, descriptors, run
from monitoring.load.tally import Tally
from monitoring.maths.durations import Duration

PROGRESS_EVERY_S = 5.0
_RATE = click.FloatRange(0, min_open=True)


@click.command()
@click.option(
    "--url",
    "urls",
    multiple=True,
    required=True,
    help="A node, for example ws://127.0.0.1:3001/ws; given several times, connections go round.",
)
@click.option(
    "--tokens", required=True, type=click.Path(path_type=Path, dir_okay=False), help="What `python -m app seed` wrote."
)
@click.option("--connections", required=True, type=click.IntRange(1), help="The first so many devices of the file.")
@click.option("--duration", default="60s", show_default=True, help="Length of the traffic, for example 90s or 5m.")
@click.option("--rate", default=100.0, show_default=True, type=_RATE, help="Sends per second, all together.")
@click.option(
    "--body-bytes",
    default=150,
    show_default=True,
    type=click.IntRange(0, 48 * 1024),
    help="Length of a message's body.",
)
@click.option(
    "--sizes",
    help="Share of the sends by number of members, for example 2:0.9,50:0.1; "
    "by default each device's conversations alike.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Nothing was sent since the seed: name its cursors in `hello`, "
    "which spares the server telling each device who joined.",
)
@click.option("--metrics-url", "metrics_urls", multiple=True, help="A node's /metrics, for its memory and CPU.")
@click.option("--processes", type=click.IntRange(1), help="Client processes; by default one for 17,000 connections.")
@click.option("--connect-rate", default=1500.0, show_default=True, type=_RATE, help="Connects per second.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write all figures here; - for the standard output, and no report then.",
)
@click.option("--max-fanout-p95-ms", type=click.FloatRange(0), help="Exit status 1 beyond it.")
@click.option("--max-loss", type=click.FloatRange(0, 1), help="Lost of what was owed, as a share; status 1 beyond it.")
@click.option("--max-error-rate", type=click.FloatRange(0, 1), help="Errors of connects and sends; status 1 beyond it.")
def load(
    urls: tuple[str, ...],
    tokens: Path,
    connections: int,
    duration: str,
    rate: float,
    body_bytes: int,
    sizes: str | None,
    fresh: bool,
    metrics_urls: tuple[str, ...],
    processes: int | None,
    connect_rate: float,
    json_path: Path | None,
    max_fanout_p95_ms: float | None,
    max_loss: float | None,
    max_error_rate: float | None,
) -> None:
    """Hold many connections, send messages between them, and judge what became of each.

    Exit status: 0 all is well, 1 a limit was missed or the history is wrong, 2 a mistake in the
    options or nothing to connect to. docs/load.md explains every figure.
    """
    people, seats = plan.read_people(tokens, connections)
    options = Options(
        targets=[plan.target(url) for url in urls],
        people=people,
        seats=seats,
        fresh=fresh,
        duration_s=Duration.parse(duration),
        rate_per_s=rate,
        body_bytes=body_bytes,
        sizes=_sizes(sizes, people),
        metrics_urls=metrics_urls,
        processes=plan.process_count(connections, processes, descriptors()),
        connect_rate_per_s=connect_rate,
    )
    outcome = run(options, _Progress())
    told = report.figures(outcome)
    _write(told, json_path)
    faults = report.missed(told, report.Limits(max_fanout_p95_ms, max_loss, max_error_rate))
    for line in faults:
        click.echo(line, err=True)
    sys.exit(1 if faults else 0)


def _sizes(text: str | None, people: list[plan.Person]) -> dict[int, float]:
    if text is None:
        return {}
    wanted = plan.size_shares(text)
    missing = set(wanted) - set(plan.members_of(people).values())
    if missing:
        raise plan.LoadError(f"--sizes: no conversation with {min(missing)} members among these devices")
    return wanted


def _write(told: dict[str, Any], json_path: Path | None) -> None:
    as_json = json.dumps(told, indent=2) + "\n"
    if json_path == Path("-"):
        click.echo(as_json, nl=False)
        return
    click.echo(report.text(told), nl=False)
    if json_path is not None:
        try:
            json_path.write_text(as_json)
        except OSError as error:
            raise plan.LoadError(f"{json_path}: {error.strerror}") from None


class _Progress:
    """One line of standard error, renewed in a terminal, else a new one every few seconds or when the phase changes."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._shown_at, self._before_at = 0.0, time.monotonic()
        self._phase, self._before = "", Tally()

    def __call__(self, phase: str, tally: Tally) -> None:
        """Show where the run is."""
        now = time.monotonic()
        if not self._tty and phase == self._phase and now < self._shown_at + PROGRESS_EVERY_S:
            return
        line = f"{phase:8} {progress_words(tally, self._before, max(now - self._before_at, 1e-3))}"
        click.echo(f"\r\x1b[2K{line}" if self._tty else line, err=True, nl=not self._tty or phase == "judge")
        self._phase, self._shown_at = phase, now
        self._before, self._before_at = tally, now


def progress_words(tally: Tally, before: Tally, seconds: float) -> str:
    """The moment's figures; rates are since `before`, that is for `seconds`."""
    p95_s = tally.fanout.quantile(0.95)
    return (
        f"connected {tally.live:,}  sends/s {(tally.sends - before.sends) / seconds:,.0f}"
        f"  acks/s {(tally.acks - before.acks) / seconds:,.0f}"
        f"  deliveries/s {(tally.applied - before.applied) / seconds:,.0f}"
        f"  p95 {'-' if p95_s is None else f'{p95_s * 1000:.0f} ms'}  errors {tally.errors:,}"
    )
