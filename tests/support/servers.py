"""Starting real processes on free ports, and waiting for what they promise."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests

from app.config import SETTINGS
from deploy.stack.wait import answers
from monitoring.client.api import Api
from tests.support.binaries import require
from tests.support.repository import ROOT

T = TypeVar("T")
ADMIN_TOKEN = "admin-token-of-the-tests-0123456789"
MEDIA_DIR = str(Path(tempfile.gettempdir()) / f"messenger-media-of-tests-{os.getpid()}")
JWT_SECRET = "jwt-secret-of-the-tests-0123456789abcdef"


_PORTS_A_WORKER = 2_000
_given: set[int] = set()


def free_port() -> int:
    """A port of loopback that nobody listens on now, and that no other test is about to listen on.

    Each worker of a run has ports of its own, below those that outgoing connections take for themselves, and gives
    none of them twice.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + worker % 11 * _PORTS_A_WORKER
    while True:
        port = random.randrange(first, first + _PORTS_A_WORKER)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def eventually(read: Callable[[], T], wanted: Callable[[T], object] = bool, within_s: float = 20.0) -> T:
    """The first value of `read()` that is `wanted`; fails with the last value when the time is over."""
    deadline = time.monotonic() + within_s
    while True:
        value = read()
        if wanted(value):
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s; last seen: {value!r}"
        time.sleep(0.01)


@dataclass
class Node:
    """A running node; `log` is the file its output goes to."""

    process: subprocess.Popen[bytes]
    api: Api
    port: int
    metrics_port: int
    log: Path

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series now; 0 when it is not exposed."""
        text = requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).text
        for line in text.splitlines():
            if line.startswith((f"{name} ", f"{name}{{")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)


def node_environ(database_url: str, **more: str) -> dict[str, str]:
    """The environment of a node of the tests."""
    ours = {setting.key for setting in SETTINGS}
    clean = {k: v for k, v in os.environ.items() if k not in ours}
    return clean | {
        "DATABASE_URL": database_url,
        "JWT_SECRET": JWT_SECRET,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "AUTH_ATTEMPTS_PER_MINUTE": "1000",
        "MEDIA_DIR": MEDIA_DIR,
    } | more  # fmt: skip


@contextmanager
def running_node(database_url: str, log: Path, **more: str) -> Iterator[Node]:
    """A node of its own process, ready; killed at the end if it still runs."""
    port, metrics_port = free_port(), free_port()
    environ = node_environ(database_url, PORT=str(port), METRICS_PORT=str(metrics_port), NODE_ID=f"node-{port}", **more)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"], cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
        api = Api(f"http://127.0.0.1:{port}")
        try:
            eventually(lambda: process.poll() is not None or answers(f"{api.base_url}/health/ready"))
            assert process.poll() is None, log.read_text()
            yield Node(process, api, port, metrics_port, log)
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_redis(folder: Path, port: int | None = None) -> Iterator[str]:
    """URL of a real Redis on `port`, or a free one."""
    port = port or free_port()
    process = start_redis(folder, port)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def start_redis(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A real Redis that answers, and stores nothing."""
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "dir": str(folder)}
    command = [str(require("redis-server"))] + [part for key, value in options.items() for part in (f"--{key}", value)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    eventually(lambda: _accepts(port))
    return process


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
