"""The cluster of `make cluster` for tests, on free ports, and the load tool on its way through nginx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deploy.cluster import cluster
from deploy.stack.settings import ClusterPorts
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port

SERVING = ("redis", "nginx", "node1", "node2", "node3", "oncall", "alertmanager")
"""What people need, and who tells the team; the rest watches."""


@contextmanager
def running_cluster(only: tuple[str, ...] = SERVING) -> Iterator[cluster.Cluster]:
    """Three nodes behind nginx, ready."""
    with tempfile.TemporaryDirectory(prefix="messenger-cluster-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        ports = {field.name.upper(): str(free_port()) for field in fields(ClusterPorts)}
        where = cluster.settings(ports | {"RUN_DIR": f"{name}/run", "ALERTMANAGER_WAIT": "1s"})
        with cluster.running(where, only) as made:
            yield made


def environ(made: cluster.Cluster) -> dict[str, str]:
    """What its nodes are told, for other commands of `python -m app`."""
    return os.environ | made.child("node1").process.env


def command(made: cluster.Cluster, *words: str, cwd: Path = ROOT) -> str:
    """`python -m app …` on its database; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *words], env=environ(made), cwd=cwd, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass
class Load:
    """A load tool that talks; `told` is its verdict, once it is done."""

    process: subprocess.Popen[str]
    said: Path
    figures: Path

    def told(self) -> dict[str, Any]:
        """Wait for the end. The exit status is the tool's: 0 when nothing was lost."""
        assert self.process.wait(timeout=120) == 0, self.said.read_text()
        told: dict[str, Any] = json.loads(self.figures.read_text())
        return told


@contextmanager
def load(
    made: cluster.Cluster, folder: Path, connections: int = 60, rate: int = 60, seconds: int = 15
) -> Iterator[Load]:
    """The load tool by way of nginx, in its traffic when the block begins; a fresh seed each."""
    tokens = folder / "tokens"
    command(made, "seed", "--devices", str(connections), "--conversations", "3", "--tokens", str(tokens))
    words = ["--url", made.socket_url, "--tokens", str(tokens), "--connections", str(connections), "--fresh"]
    words += ["--rate", str(rate), "--duration", f"{seconds}s", "--max-loss", "0", "--json", str(folder / "figures")]
    said = folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitoring", "load", *words], cwd=ROOT, stdout=output, stderr=output, text=True
        )
    try:
        eventually(lambda: process.poll() is not None or "\ntraffic" in said.read_text(), within_s=60)
        assert process.poll() is None, said.read_text()
        yield Load(process, said, folder / "figures")
    finally:
        process.kill()
        process.wait()
