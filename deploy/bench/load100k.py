"""`make load-100k`: 100,000 authenticated connections over six node processes, five minutes of traffic.

It says what it needs and refuses where that is not there; then it starts a PostgreSQL and a Redis of its
own, makes the people, starts the nodes and hands over to `python -m monitoring load`, whose report is the
result. Everything it started is gone afterwards, also after Ctrl-C, and it never lasts longer than LIMIT_S.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from deploy.bench import children
from deploy.bench.node import Bed, bed, free_ports, redis, running, serving
from deploy.stack.settings import StackError, find, is_free

LIMIT_S = 1_200.0
CONVERSATIONS = 10
SPARE_DESCRIPTORS = 1_500
"""For the database, the bus, metrics and handshakes under way, beside the connections of a node."""
BASE_BYTES, BYTES_A_CONNECTION = 1_500_000_000, 25_000
"""Memory asked for: two kernel sockets, the node's and the load tool's side, and PostgreSQL's cache of the people."""
DISK_BASE_BYTES, DISK_BYTES_A_CONNECTION = 1_000_000_000, 20_000
MIN_CORES = 2
LAST_LINES = 10


@dataclass(frozen=True)
class Need:
    """One thing the run wants of the machine."""

    what: str
    wanted: int
    there: int

    def __str__(self) -> str:
        mark = "ok" if self.met else "NOT ENOUGH"
        return f"  {self.what:<46} {self.wanted:>14,}   here {self.there:>14,}   {mark}"

    @property
    def met(self) -> bool:
        """Whether the machine has it."""
        return self.there >= self.wanted


@dataclass(frozen=True)
class Machine:
    """What there is: bytes, descriptors a process (hard limit) and in all, cores."""

    memory: int
    disk: int
    descriptors: int
    all_descriptors: int
    cores: int
    redis: bool


def machine() -> Machine:
    """This machine now."""
    return Machine(
        memory=psutil.virtual_memory().available,
        disk=shutil.disk_usage(tempfile.gettempdir()).free,
        descriptors=_descriptors(),
        all_descriptors=int(Path("/proc/sys/fs/file-max").read_text()),
        cores=len(os.sched_getaffinity(0)),
        redis=find("redis-server") is not None,
    )


def needs(connections: int, nodes: int, has: Machine) -> list[Need]:
    """What a run of so many connections wants, beside what there is."""
    return [
        Need("memory available, bytes", BASE_BYTES + connections * BYTES_A_CONNECTION, has.memory),
        Need("disk for the database, bytes", DISK_BASE_BYTES + connections * DISK_BYTES_A_CONNECTION, has.disk),
        Need("descriptors a process (ulimit -Hn)", -(-connections // nodes) + SPARE_DESCRIPTORS, has.descriptors),
        Need("descriptors of the machine (fs.file-max)", 2 * connections + 50_000, has.all_descriptors),
        Need("cores", MIN_CORES, has.cores),
        Need("redis-server (Debian package redis-server)", 1, int(has.redis)),
    ]


@click.command()
@click.option("--connections", default=100_000, show_default=True, type=click.IntRange(2))
@click.option("--nodes", default=6, show_default=True, type=click.IntRange(1), help="Node processes.")
@click.option("--duration", default=300, show_default=True, type=click.IntRange(1), help="Seconds of traffic.")
@click.option(
    "--rate", default=2_520, show_default=True, type=click.IntRange(1), help="Sends a second, 2 deliveries each."
)
@click.option("--connect-rate", default=1_500, show_default=True, type=click.IntRange(1), help="Connects a second.")
@click.option("--one-port", is_flag=True, help="`serve --workers` on one port instead of a port for each node.")
@click.option("--json", "output", type=click.Path(dir_okay=False, path_type=Path), help="The load tool's JSON report.")
def main(
    connections: int, nodes: int, duration: int, rate: int, connect_rate: int, one_port: bool, output: Path | None
) -> None:
    """Measure; exit status of the load tool, or 2 when the machine cannot do it."""
    children.end_on_sigterm()
    children.end_after(LIMIT_S)
    wanted = needs(connections, nodes, machine())
    minutes = (60 + connections / connect_rate + duration) / 60
    print(f"{connections:,} connections on {nodes} nodes need (and about {minutes:.0f} minutes, "
          f"at most {LIMIT_S / 60:.0f}; nothing else should be busy meanwhile):")  # fmt: skip
    print(*wanted, sep="\n", flush=True)
    if not all(need.met for need in wanted):
        print("refused: " + "; ".join(need.what for need in wanted if not need.met), file=sys.stderr)
        sys.exit(2)
    _take_descriptors()
    started = time.monotonic()
    with bed() as made, redis(made) as redis_url:
        _say(started, f"making {connections:,} people with {CONVERSATIONS} conversations of 2 each")
        made.seed(connections, min(CONVERSATIONS, connections - 1))
        made.analyze()
        _say(started, f"starting {nodes} nodes")
        with _nodes(made, nodes, redis_url, one_port=one_port) as (urls, metrics_urls):
            command = load_command(urls, metrics_urls, made.tokens, connections, output)
            command += ["--duration", f"{duration}s", "--rate", str(rate), "--connect-rate", str(connect_rate)]
            _say(started, " ".join(command[1:]))
            status = children.run(command, LIMIT_S)
        if status:
            _print_ends(made.folder.glob("node*.log"))
    _say(started, "everything is stopped and removed")
    sys.exit(status)


def load_command(
    urls: list[str], metrics_urls: list[str], tokens: Path, connections: int, output: Path | None
) -> list[str]:
    """The load tool for these nodes, with the limits that must hold; beyond one its exit status is 1."""
    command = [sys.executable, "-m", "monitoring", "load"]
    for url in urls:
        command += ["--url", url]
    for url in metrics_urls:
        command += ["--metrics-url", url]
    command += ["--tokens", str(tokens), "--connections", str(connections), "--fresh"]
    command += ["--max-fanout-p95-ms", "250", "--max-loss", "0", "--max-error-rate", "0.01"]
    return [*command, "--json", str(output)] if output else command


@contextmanager
def _nodes(made: Bed, count: int, redis_url: str, *, one_port: bool) -> Iterator[tuple[list[str], list[str]]]:
    """The nodes' URLs and those of their metrics."""
    if one_port:
        port, metrics_port = free_ports(1)[0], _free_row(count)
        with serving(made, "node", port, metrics_port, {"REDIS_URL": redis_url}, "--workers", str(count)):
            yield [_socket_url(port)], [_metrics_url(metrics_port + n) for n in range(count)]
    else:
        with running(made, count, REDIS_URL=redis_url) as nodes:
            yield [_socket_url(node.port) for node in nodes], [_metrics_url(node.metrics_port) for node in nodes]


def _free_row(count: int) -> int:
    """The first of `count` ports in a row, all free now."""
    while True:
        (first,) = free_ports(1)
        if first + count < 65_536 and all(is_free(first + n) for n in range(count)):
            return first


def _socket_url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ws"


def _metrics_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/metrics"


def _descriptors() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _take_descriptors() -> None:
    """Children inherit it: the soft limit is often far below the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _print_ends(logs: Iterable[Path]) -> None:
    """The last words of the nodes, whose logs are about to go."""
    for log in sorted(logs):
        print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-LAST_LINES:], sep="\n", file=sys.stderr)


def _say(started: float, text: str) -> None:
    print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        sys.exit(f"error: {error}")
