"""Real node processes over a PostgreSQL of their own, with people in it; all gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import requests

from app.config import SETTINGS
from deploy.stack import database
from deploy.stack.settings import PROJECT, require
from deploy.stack.wait import answers

READY_S = 30.0
POSTGRES = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}
"""What a database server of this size would be given; the default of 128 MB holds a third of the people's indexes."""


@dataclass(frozen=True)
class Bed:
    """What nodes stand on: a folder, a migrated database, and a file of tokens when people were made."""

    folder: Path
    environ: Mapping[str, str]
    postmaster: psutil.Process

    @property
    def tokens(self) -> Path:
        """One JSON line a device."""
        return self.folder / "tokens"

    def app(self, *arguments: str) -> None:
        """`python -m app …` on this database."""
        command = [sys.executable, "-m", "app", *arguments]
        subprocess.run(command, env=dict(self.environ), cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)

    def seed(self, devices: int, conversations: int) -> None:
        """Make people with one device each and conversations of 2."""
        self.app("seed", "--devices", str(devices), "--conversations", str(conversations), "--size", "2",
                 "--tokens", str(self.tokens))  # fmt: skip

    def analyze(self) -> None:
        """Tell the planner what was made: it would learn by itself, but at some moment within the measurement."""
        conn = psycopg2.connect(self.environ["DATABASE_URL"])
        conn.autocommit = True
        try:
            with conn.cursor() as cursor:
                cursor.execute("ANALYZE")
        finally:
            conn.close()

    def database_cpu_s(self) -> float:
        """CPU seconds of the database's processes that live now."""
        return sum(cpu_s(process) for process in (self.postmaster, *self.postmaster.children()))


@dataclass(frozen=True)
class Node:
    """A node that is ready."""

    process: psutil.Process
    port: int
    metrics_port: int

    def resident_bytes(self) -> int:
        """Resident memory of its process, from the kernel's exact account."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Rss:"))

    def metric(self, name: str) -> float:
        """A series without labels, as /metrics shows it now; raises KeyError when it does not."""
        text = requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).text
        series = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(series[name])

    def cpu_s(self) -> float:
        """CPU seconds of its process so far."""
        return cpu_s(self.process)


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of one process; 0 when it has gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def bed() -> Iterator[Bed]:
    """A database server with the current schema, in a folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="messenger-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
    try:
        server = database.start(folder / "postgres", POSTGRES)
        try:
            ours = {setting.key for setting in SETTINGS}
            environ = {key: value for key, value in os.environ.items() if key not in ours}
            made = Bed(folder, environ | {"DATABASE_URL": server.get_uri()}, psutil.Process(server.get_pid()))
            made.app("migrate", "up")
            yield made
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def seeded_node(devices: int, conversations: int, **environ: str) -> Iterator[tuple[Bed, Node]]:
    """One node whose database has so many people; `environ` is added to its environment."""
    with bed() as made:
        made.seed(devices, conversations)
        made.analyze()
        with running(made, 1, **environ) as (node,):
            yield made, node


@contextmanager
def running(made: Bed, count: int, **environ: str) -> Iterator[list[Node]]:
    """`count` node processes, each with ports of its own; gone at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(_node(made, f"node{n + 1}", environ)) for n in range(count)]


@contextmanager
def _node(made: Bed, name: str, environ: Mapping[str, str]) -> Iterator[Node]:
    port, metrics_port = free_ports(2)
    with serving(made, name, port, metrics_port, environ) as process:
        yield Node(psutil.Process(process.pid), port, metrics_port)


@contextmanager
def serving(
    made: Bed, name: str, port: int, metrics_port: int, environ: Mapping[str, str], *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m app serve` with `options`, ready; its whole process group is killed at the end."""
    ports = {"PORT": str(port), "METRICS_PORT": str(metrics_port), "NODE_ID": name}
    log = made.folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", *options], cwd=PROJECT, env={**made.environ, **ports, **environ},
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_ready(process, port, log)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def redis(made: Bed) -> Iterator[str]:
    """URL of a Redis that keeps nothing; stopped at the end. Raises StackError when there is no redis-server."""
    (port,) = free_ports(1)
    command = [require("redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", str(port),
               "--save", "", "--appendonly", "no", "--dir", str(made.folder)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield f"redis://127.0.0.1:{port}/0"  # nodes wait for it by themselves
    finally:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the node takes connections; RuntimeError with its log when it ended or needs too long."""
    deadline = time.monotonic() + READY_S
    while not answers(f"http://127.0.0.1:{port}/health/ready"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a node did not start:\n{log.read_text()}")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with ExitStack() as stack:  # all open at once, so that no number comes twice
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in socks]
