"""A project with any number of SLOs, each in a file of its own, and how long `generate` and `check` take for it.

`python -m deploy.bench.slos` measures; with a FOLDER it only writes the project there, to look at.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from deploy.stack.settings import PROJECT

METRIC = "bench_requests_total"
"""A counter of requests by service, code and pod; codes from 500 on are bad."""

TARGET = "0.999"
PERIOD = "30d"

_PROJECT = """\
service: bench
specs: [specs]
outputs: {alerts: alerts, dashboards: dashboards}
links: {runbooks: https://runbooks.example.com/, dashboards: https://grafana.example.com/d/}
environments:
  production:
    scrape_interval: 15s
    evaluation_interval: 15s
    jobs: {bench: ["127.0.0.1:9200"]}
    prometheus: {url: http://127.0.0.1:9090, retention: 35d}
    alertmanager: {targets: ["127.0.0.1:9093"]}
    receivers: {oncall: {url: http://127.0.0.1:9095/alertmanager, credentials_file: /etc/oncall.token}}
"""

_SERVICE = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: bench}\n"

_SLO = """\
# Requests of one tenant that are not answered with a server error.
apiVersion: openslo/v1
kind: SLO
metadata:
  name: NAME
  displayName: Requests of NAME
  annotations:
    monitoring/runbook: requestsTHRESHOLD
spec:
  description: 99.9 % of requests are answered without a server error.
  service: bench
  indicator:
    metadata:
      name: NAME
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec:
              query: METRIC{tenant="NAME",code!~"5.."}
        total:
          metricSource:
            type: Prometheus
            spec:
              query: METRIC{tenant="NAME"}
  timeWindow:
    - duration: PERIOD
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - displayName: Answered
      target: TARGET
"""


def names(count: int) -> list[str]:
    """What the SLOs, and the tenants whose requests they judge, are called."""
    return [f"tenant-{i:04}" for i in range(count)]


def write(folder: Path, count: int) -> Path:
    """Write the project; every second SLO declares a direct alert. Returns its monitoring.yaml."""
    specs = folder / "specs"
    specs.mkdir(parents=True)
    (specs / "service.yaml").write_text(_SERVICE)
    for i, name in enumerate(names(count)):
        threshold = "\n    monitoring/threshold-window: 2m" * (i % 2)
        text = _SLO.replace("NAME", name).replace("METRIC", METRIC).replace("TARGET", TARGET).replace("PERIOD", PERIOD)
        (specs / f"{name}.yaml").write_text(text.replace("THRESHOLD", threshold))
    project = folder / "monitoring.yaml"
    project.write_text(_PROJECT)
    return project


@dataclass(frozen=True)
class Run:
    """What one command took, with the programs it asked."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Of the largest process."""


def run(arguments: Sequence[str]) -> Run:
    """Run `python -m monitoring` to its end. Exits when it fails."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "monitoring", *arguments], cwd=PROJECT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"monitoring {' '.join(arguments)}: exit status {process.returncode}")
    return Run(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--count", default=1000, show_default=True, type=click.IntRange(1))
def main(folder: Path | None, count: int) -> None:
    """Time `generate` and `check` of many SLOs, or only write the project into FOLDER, which must be new."""
    if folder:
        click.echo(write(folder, count))
        return
    with tempfile.TemporaryDirectory(prefix="bench-slos-") as temporary:
        below = Path(temporary)
        project = str(write(below / "project", count))
        inputs = [str(below / "project" / name) for name in ("specs", "alerts", "dashboards")]
        commands = {
            "generate, nothing there": ["generate", "--config", project],
            "generate, nothing to do": ["generate", "--config", project],
            "check": ["check", "--config", project],
            "check FILES, specs": ["check", inputs[0]],
            "check FILES, specs and what is generated": ["check", *inputs],
        }
        click.echo(f"| {count} SLOs | wall | CPU | memory |\n|---|---|---|---|")
        for name, arguments in commands.items():
            took = run(arguments)
            click.echo(f"| {name} | {took.wall_s:.1f} s | {took.cpu_s:.1f} s | {took.peak_bytes / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
