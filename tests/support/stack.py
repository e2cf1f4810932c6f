"""The whole stack, started as a user starts it: `make run`, on free ports and a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import requests

from deploy.stack.settings import Ports
from monitoring.client.api import Api
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port

SCRAPE_S = 1
FAST = {
    # Every window a quarter as long as in production, and scraped every second: the same generator, a scaled profile.
    "SCRAPE_INTERVAL": f"{SCRAPE_S}s",
    "WINDOW_DIVISOR": "8",
    "ALERTMANAGER_WAIT": "1s",
    "TRAFFIC_PER_S": "20",
    "PROBE_INTERVAL_S": "2",
}


@dataclass
class Stack:
    """A running stack; its output so far is in `output`."""

    process: subprocess.Popen[bytes]
    ports: Ports
    folder: Path
    output: Path

    @property
    def api(self) -> Api:
        """The messenger."""
        return Api(f"http://127.0.0.1:{self.ports.port}")

    def secret(self, name: str) -> str:
        """One of the stack's secrets."""
        return (self.folder / "secrets" / name).read_text()

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The result of an instant query to the real Prometheus."""
        url = f"http://127.0.0.1:{self.ports.prometheus_port}/api/v1/query"
        answer = requests.get(url, params={"query": expr}, timeout=10).json()
        assert answer["status"] == "success", (expr, answer)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def arrived(self, alert: str) -> list[str]:
        """The statuses of an alert that reached on-call's webhook, oldest first."""
        url = f"http://127.0.0.1:{self.ports.oncall_port}/api/events"
        events = requests.get(url, auth=("oncall", self.secret("oncall-password")), timeout=5).json()
        return [e["status"] for e in reversed(events) if e["labels"]["alertname"] == alert]

    def switch_faults(self, **switches: Any) -> None:
        """Turn the fault switches of the node."""
        self.api.call("POST", "/test/faults", switches, self.secret("admin-token"))

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to make and all below it; then wait for the end."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)


def environment(folder: Path, ports: Ports) -> dict[str, str]:
    """What `make run` is told."""
    clean = {
        k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL", "MAKEFLAGS", "MAKELEVEL", "GOGC")
    }
    by_name = {f.name.upper(): str(getattr(ports, f.name)) for f in fields(ports)}
    return clean | FAST | by_name | {"RUN_DIR": str(folder)}


@contextmanager
def make_run(folder: Path, ports: Ports | None = None) -> Iterator[Stack]:
    """`make run`, ready; interrupted at the end."""
    ports = ports or Ports(**{f.name: free_port() for f in fields(Ports)})
    output = folder.parent / f"{folder.name}.output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=ROOT,
            env=environment(folder, ports),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # as a terminal gives each command a group that Ctrl-C goes to
        )
    stack = Stack(process, ports, folder, output)
    try:
        eventually(lambda: process.poll() is not None or "stop it:" in output.read_text(), within_s=120)
        assert process.poll() is None, output.read_text()
        yield stack
    finally:
        if process.poll() is None:
            stack.interrupt()


def demo_accounts(stack: Stack) -> dict[str, Any]:
    """Who the demo people are."""
    told: dict[str, Any] = json.loads((stack.folder / "secrets" / "demo.json").read_text())
    return told
