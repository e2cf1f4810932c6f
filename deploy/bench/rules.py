"""`make bench-rules`: what the rules of our generator cost a real Prometheus, beside the shapes of sloth and pyrra.

All rule sets are loaded into one Prometheus and evaluated over the same minutes, so a busy
machine hurts them alike. The first SLOs have a history of the whole period, at the rhythm
of the scrapes, written straight into blocks: a 30d range costs nothing on an empty
database. The others have what is scraped meanwhile, and show whether Prometheus keeps up.

What is read is Prometheus' own: the last duration of each group, at each of its
evaluations. A group costs its median duration ÷ its interval, in seconds of evaluation a second.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import requests

from deploy.bench import children, requests_made, ruleshapes, slos
from deploy.bench.node import free_ports
from deploy.bench.report import digits
from deploy.stack.wait import answers
from monitoring import config as configuration
from monitoring import specs
from monitoring.generatedyaml import dump
from monitoring.maths.durations import Duration
from monitoring.rules import data
from monitoring.rules.build import slo_file
from monitoring.rules.model import Group, RuleFile

LIMIT_S = 900
SCRAPE_S = 15
OURS, SLOTH, PYRRA, SUBQUERY = "ours", "sloth", "pyrra", "pyrra, subquery"
SETS = (OURS, SLOTH, PYRRA, SUBQUERY)
_WHOSE = {
    OURS: 'slo_id!=""', SLOTH: 'sloth_id!=""', PYRRA: 'slo!="",slo!~".+-subquery"', SUBQUERY: 'slo=~".+-subquery"',
}  # fmt: skip
"""Matchers of the series that each set has made."""
_GROUP = re.compile(r'(prometheus_rule_\w+)\{rule_group="(?P<file>[^";]+);(?P<group>[^"]+)"\} (?P<value>\S+)', re.ASCII)
_POLL_S = 10.0
_PATIENCE_S = 120.0

Sets = Mapping[str, Sequence[Group]]


@dataclass
class Evaluations:
    """What Prometheus said of each group, by rule set and name."""

    durations_s: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: float = 0
    missed: float = 0
    _last: dict[tuple[str, str], float] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Take in one scrape of Prometheus' own metrics; an evaluation seen before does not count twice."""
        found: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
        for match in _GROUP.finditer(text):
            found[match[1]][Path(match["file"]).stem, match["group"]] = float(match["value"])
        self.failures = sum(found["prometheus_rule_evaluation_failures_total"].values())
        self.missed = sum(found["prometheus_rule_group_iterations_missed_total"].values())
        for key, at_s in found["prometheus_rule_group_last_evaluation_timestamp_seconds"].items():
            if at_s > 0 and self._last.get(key) != at_s:
                self._last[key] = at_s
                self.durations_s[key].append(found["prometheus_rule_group_last_duration_seconds"][key])


@dataclass(frozen=True)
class Cost:
    """One rule set's, for one SLO."""

    rules: float
    once_s: float
    """Evaluating every group once."""
    share: float
    """Seconds of evaluation a second."""
    period_share: float
    """Of that, the groups that read the whole period."""


def rule_sets(folder: Path, names: Sequence[str]) -> Sets:
    """The groups of each set for the same SLOs; ours as `generate` makes them from specs in `folder`."""
    config = configuration.load(slos.write(folder, len(names)), "production")
    made, _ = specs.read(config.specs)
    ours = [group for slo in made for group in slo_file(slo, config.profile).groups]
    return {
        OURS: [*ours, *data.rule_file(made, config.profile).groups],
        SLOTH: [group for name in names for group in ruleshapes.sloth(name, Duration(SCRAPE_S))],
        PYRRA: [group for name in names for group in ruleshapes.pyrra(name)],
        SUBQUERY: [group for name in names for group in ruleshapes.pyrra(name, subquery=True)],
    }


def write_rules(folder: Path, sets: Sets) -> list[Path]:
    """One file a set, called like it."""
    paths = []
    for name, groups in sets.items():
        path = folder / f"{name}.yml"
        path.write_bytes(dump(RuleFile(name, "bench", tuple(groups)).to_yaml()))
        paths.append(path)
    return paths


def cost(found: Evaluations, sets: Sets, name: str, some: Sequence[str]) -> Cost:
    """What a set costs for each of some SLOs; the few rules that are for all of them are shared out."""
    rules = once_s = share = period_share = 0.0
    owned = {group.name: _owner(group.name) for group in sets[name]}
    every = len(set(owned.values()) - {None})
    for group in sets[name]:
        owner, key = owned[group.name], (name, group.name)
        part = 1.0 if owner in some else len(some) / every if owner is None else 0.0
        if not part:
            continue
        duration_s = statistics.median(found.durations_s[key])
        rules += part * len(group.rules)
        once_s += part * duration_s
        share += part * duration_s / int(group.interval)
        if any(f"[{slos.PERIOD}" in rule.expr for rule in group.rules):
            period_share += part * duration_s / int(group.interval)
    count = len(some)
    return Cost(rules / count, once_s / count, share / count, period_share / count)


def _owner(group: str) -> str | None:
    found = re.search(r"tenant-\d+", group)
    return found[0] if found else None


@contextmanager
def exporting(tenants: Sequence[requests_made.Tenant], start_s: int) -> Iterator[int]:
    """Serve the counters of now on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = requests_made.exposition(tenants, time.time() - start_s)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(folder: Path, rule_files: Sequence[Path], exporter_port: int) -> Iterator[str]:
    """A real Prometheus over `folder`/data; its URL once it is ready."""
    (port,) = free_ports(1)
    config, log = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(
        f"global: {{scrape_interval: {SCRAPE_S}s, evaluation_interval: {SCRAPE_S}s}}\n"
        f"rule_files: [{', '.join(map(repr, map(str, rule_files)))}]\n"
        "scrape_configs:\n- job_name: bench\n  static_configs:\n"
        f"  - {{targets: ['127.0.0.1:{exporter_port}'], labels: {{instance: exporter}}}}\n"
    )
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=35d",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not answers(f"{url}/-/ready"):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"Prometheus did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_history(folder: Path, tenants: Sequence[requests_made.Tenant], start_s: int, end_s: int) -> None:
    """Blocks of the past below `folder`/data."""
    text = folder / "history.txt"
    with text.open("w") as file:
        file.writelines(requests_made.history(tenants, start_s, end_s, SCRAPE_S))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h", "--quiet"]
    subprocess.run([*command, str(text), str(folder / "data")], check=True, stdout=subprocess.DEVNULL)
    text.unlink()


def watch(url: str, sets: Sets, duration_s: float) -> Evaluations:
    """Prometheus' own word on every evaluation for so long, and a little longer until each group had one."""
    found = Evaluations()
    wanted = {(name, group.name) for name, groups in sets.items() for group in groups}
    end = time.monotonic() + duration_s
    while time.monotonic() < end or not wanted <= found.durations_s.keys():
        if time.monotonic() > end + _PATIENCE_S:
            silent = sorted(wanted - found.durations_s.keys())
            sys.exit(f"{len(silent)} groups were never evaluated, {silent[0]} for one")
        time.sleep(_POLL_S)
        found.read(requests.get(f"{url}/metrics", timeout=60).text)
    return found


def count(url: str, query: str) -> float:
    """The number that a query gives; 0 for none."""
    answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=60).json()
    if answer["status"] != "success":
        sys.exit(f"Prometheus refused {query}: {answer['error']}")
    return sum(float(series["value"][1]) for series in answer["data"]["result"])


def series_per_slo(url: str, name: str, slo_count: int, *, alerts: bool) -> float:
    """How many series a set has made for each SLO."""
    names = f'__name__{"=~" if alerts else "!~"}"ALERTS.*"'
    return count(url, f"count({{{_WHOSE[name]},{names}}})") / slo_count


def table(rows: Sequence[tuple[str, Mapping[str, float], str]]) -> str:
    """One line a figure, one column a set with its ratio to ours."""
    columns = list(rows[0][1])
    cells = [["", *columns]]
    for title, values, unit in rows:
        ours = values.get(OURS)
        cells.append(
            [title]
            + [
                digits(values[name]) + unit + (f" ({digits(values[name] / ours)}×)" if name != OURS and ours else "")
                for name in columns
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" + ("\n" + "|---" * len(row) + "|") * (row is cells[0]) for row in cells)


@click.command()
@click.option("--slos", "slo_count", default=100, show_default=True, type=click.IntRange(10), help="SLOs of each set.")
@click.option("--deep", default=10, show_default=True, type=click.IntRange(1), help="How many of them have a history.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="Of history.")
@click.option("--seconds", default=330, show_default=True, type=click.IntRange(310), help="How long to watch.")
@click.option("--only", type=click.Choice(SETS), multiple=True, help="Load only this set; may be repeated.")
def main(slo_count: int, deep: int, days: int, seconds: int, only: tuple[str, ...]) -> None:
    """Measure; exit status 1 when a rule fails, or Prometheus does not keep up."""
    children.end_on_sigterm()
    children.end_after(LIMIT_S)
    if missing := [name for name in ("prometheus", "promtool") if not shutil.which(name)]:
        sys.exit(f"not installed: {', '.join(missing)} (Debian package prometheus)")
    names = slos.names(slo_count)
    tenants = requests_made.tenants(names)
    started = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - started:5.0f} s  {text}", err=True)

    with tempfile.TemporaryDirectory(prefix="bench-rules-") as temporary:
        folder = Path(temporary)
        sets = {name: made for name, made in rule_sets(folder / "project", names).items() if name in (only or SETS)}
        files = write_rules(folder, sets)
        say(f"rules of {slo_count} SLOs in {len(SETS)} sets are written")
        end_s = int(time.time()) // SCRAPE_S * SCRAPE_S
        start_s = end_s - days * 86400
        write_history(folder, tenants[:deep], start_s, end_s)
        size_mb = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file()) / 1e6
        say(f"{days} days of {deep} SLOs are written, a sample every {SCRAPE_S} s, {size_mb:.0f} MB")
        with exporting(tenants, start_s) as exporter_port, prometheus(folder, files, exporter_port) as url:
            say(f"Prometheus is ready; watching it for {seconds} s")
            cpu_s, begin = _own(url, "process_cpu_seconds_total"), time.monotonic()
            found = watch(url, sets, seconds)
            cores = (_own(url, "process_cpu_seconds_total") - cpu_s) / (time.monotonic() - begin)
            click.echo(f"\n{_report(url, found, sets, names, deep, days)}")
            memory_mb = _own(url, "process_resident_memory_bytes") / 1e6
            click.echo(f"Prometheus used {cores:.2f} cores and {memory_mb:.0f} MB for all of it.")
    broken = [f"{n:.0f} {what}" for n, what in ((found.failures, "failures"), (found.missed, "iterations missed")) if n]
    if broken:
        sys.exit(", ".join(broken))


def _report(url: str, found: Evaluations, sets: Sets, names: Sequence[str], deep: int, days: int) -> str:
    all_costs = {name: cost(found, sets, name, names) for name in sets}
    deep_costs = {name: cost(found, sets, name, names[:deep]) for name in sets}
    series = {name: series_per_slo(url, name, len(names), alerts=False) for name in sets}
    alerts = {name: series_per_slo(url, name, len(names) // 10, alerts=True) for name in sets}
    day_s = 86400
    rows = [
        ("rules per SLO", {name: c.rules for name, c in all_costs.items()}, ""),
        ("recorded series per SLO", series, ""),
        ("alert series per SLO that burns", alerts, ""),
        (f"with {days} days of history: all groups once", {n: c.once_s * 1e3 for n, c in deep_costs.items()}, " ms"),
        ("evaluation a day", {n: c.share * day_s for n, c in deep_costs.items()}, " s"),
        ("of that, groups that read the period", {n: c.period_share * day_s for n, c in deep_costs.items()}, " s"),
        (
            f"{len(names)} such SLOs: evaluation a second",
            {n: c.share * len(names) for n, c in deep_costs.items()},
            " s",
        ),
        (
            "all SLOs, with history or without: evaluation a day",
            {n: c.share * day_s for n, c in all_costs.items()},
            " s",
        ),
    ]
    groups = sum(len(groups) for groups in sets.values())
    evaluations = sum(map(len, found.durations_s.values()))
    return (
        f"{table(rows)}\n\n{len(names)} SLOs, {deep} of them with {days} days of samples every {SCRAPE_S} s; "
        f"{groups} groups, {evaluations} evaluations seen, {found.failures:.0f} failures, "
        f"{found.missed:.0f} iterations missed."
    )


def _own(url: str, name: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=60).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


if __name__ == "__main__":
    main()
