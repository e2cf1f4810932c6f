"""The cluster as something to drive: where everything is, and its nodes, to be killed, drained and replaced.

`running(where)` is the cluster until the end of a block. Other programs find it by its state file (`cluster.json` in
its folder: names, addresses and process ids, no secrets), which is written at each start of a process.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.cluster import certificate
from deploy.cluster.supervisor import Child, Supervisor
from deploy.stack import prepare
from deploy.stack.ground import ground
from deploy.stack.processes import nodes
from deploy.stack.settings import PROJECT, ClusterPorts, Settings, StackError, find, load, require, require_free
from deploy.stack.wait import answers

READY_S = 90.0
LOOK_S = 0.1


@dataclass(frozen=True)
class Node:
    """One node: its name, where it listens, and the process that runs it."""

    name: str
    port: int
    metrics_port: int
    child: Child

    @property
    def url(self) -> str:
        """Itself, not by way of nginx."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        """Its figures."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int | None:
        """Its process now."""
        return self.child.pid

    @property
    def log(self) -> Path:
        """Its output."""
        return self.child.log

    def ready(self) -> bool:
        """Whether it wants connections."""
        return answers(f"{self.url}/health/ready")

    def replace(self) -> None:
        """Drain it; when it is gone, the next one is started. Does not wait until that one is ready."""
        self.child.restart()


class Cluster:
    """A running cluster; `where` says where its parts are, `nodes` are its nodes by name."""

    def __init__(self, where: Settings, supervisor: Supervisor) -> None:
        self.where = where
        self._children = supervisor.children
        self.nodes = {
            name: Node(name, int(own["PORT"]), int(own["METRICS_PORT"]), self._children[name])
            for name, own in nodes(where).items()
        }

    @property
    def socket_url(self) -> str:
        """The messenger's WebSocket by way of nginx, without TLS: what `monitoring load` takes."""
        return f"ws://127.0.0.1:{self.where.ports.proxy_port}/ws"

    def child(self, name: str) -> Child:
        """Any process of the cluster."""
        return self._children[name]

    def kill(self, name: str) -> None:
        """As when it loses its power; it is started again after a moment."""
        self._children[name].send(signal.SIGKILL)

    def drain(self, name: str) -> None:
        """Let a node go away in good order, and keep it away until `start`."""
        self._children[name].stop()

    def start(self, name: str) -> None:
        """Start what was drained."""
        self._children[name].start()

    def wait_until_ready(self, within_s: float = READY_S) -> None:
        """Every node wants connections, and nginx leads to them. Raises StackError naming what does not answer."""
        waiting = [f"{node.url}/health/ready" for node in self.nodes.values()]
        waiting += [f"http://127.0.0.1:{self.where.ports.proxy_port}/health"]
        deadline = time.monotonic() + within_s
        while waiting := [url for url in waiting if not answers(url)]:
            if time.monotonic() > deadline:
                raise StackError(f"{', '.join(waiting)}: no answer within {within_s:.0f} s; see {self.where.logs}")
            time.sleep(LOOK_S)


def state_file(where: Settings) -> Path:
    """Where a running cluster says what it is made of."""
    return where.folder / "cluster.json"


def settings(environ: Mapping[str, str]) -> Settings:
    """Where the cluster is. Raises StackError."""
    return load(environ, ClusterPorts, ".run/cluster")


@contextmanager
def running(where: Settings, only: Collection[str] | None = None) -> Iterator[Cluster]:
    """The cluster until the block ends, every node ready; `only` names the processes that are wanted.

    Raises StackError when a port is taken, a program is missing, or something does not answer.
    """
    require("nginx", "nginx")
    require_free(where.ports, redis=not where.redis_url and find("redis-server") is not None)
    prepare.folders(where)
    _link(where, PROJECT)
    certificate.ensure(where.certificate, datetime.now(UTC))
    with ground(where) as wanted:
        lock = threading.Lock()
        supervisor: Supervisor | None = None

        def changed() -> None:
            if supervisor is not None:
                with lock:
                    _write_state(where, supervisor)

        supervisor = Supervisor(
            [one for one in wanted if only is None or one.name in only], PROJECT, where.logs, changed
        )
        for name in set(nodes(where)) & set(supervisor.children):
            supervisor.children[name].cwd = current(where)
        try:
            supervisor.start()
            cluster = Cluster(where, supervisor)
            cluster.wait_until_ready()
            yield cluster
        finally:
            supervisor.end()
            state_file(where).unlink(missing_ok=True)


def current(where: Settings) -> Path:
    """A link to the tree whose code nodes run from their next start on; a release is one `ln -sfn` away."""
    return where.folder / "current"


def _link(where: Settings, tree: Path) -> None:
    beside = where.folder / "current.new"
    beside.unlink(missing_ok=True)
    beside.symlink_to(tree)
    beside.replace(current(where))


def _write_state(where: Settings, supervisor: Supervisor) -> None:
    told = {
        "supervisor": os.getpid(),
        "nodes": [
            {"name": name, "url": f"http://127.0.0.1:{own['PORT']}", "pid": supervisor.children[name].pid}
            for name, own in nodes(where).items()
            if name in supervisor.children
        ],
    }
    beside = state_file(where).with_suffix(".new")
    beside.write_text(json.dumps(told, indent=2))
    beside.replace(state_file(where))
