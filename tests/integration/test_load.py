"""The load tool against real nodes, through its command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.support.servers import Node, eventually, node_environ, running_node


def seed(database_url: str, folder: Path, devices: int, size: int = 2) -> Path:
    tokens = folder / "tokens"
    command = [sys.executable, "-m", "app", "seed", "--devices", str(devices), "--size", str(size),
               "--conversations", "3", "--tokens", str(tokens)]  # fmt: skip
    subprocess.run(command, env=node_environ(database_url), cwd=ROOT, check=True, timeout=60, capture_output=True)
    return tokens


def load_command(nodes: Sequence[Node], tokens: Path, *options: str) -> list[str]:
    urls = [part for node in nodes for part in ("--url", f"ws://127.0.0.1:{node.port}/ws")]
    metrics = [part for node in nodes for part in ("--metrics-url", f"http://127.0.0.1:{node.metrics_port}/metrics")]
    return [sys.executable, "-m", "monitoring", "load", *urls, *metrics, "--tokens", str(tokens), *options]


def load(nodes: Sequence[Node], tokens: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the JSON figures, and what was said on standard error."""
    command = load_command(nodes, tokens, "--json", "-", *options)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def promise_kept(told: dict[str, Any]) -> bool:
    history = told["history"]
    return bool(history["ok"]) and history["sent"] == history["acknowledged"] and history["lost"] == 0


def test_a_run_counts_everything_and_loses_nothing(database_url: str, tmp_path: Path):
    tokens = seed(database_url, tmp_path, 200)
    with running_node(database_url, tmp_path / "log") as node:
        status, told, said = load(
            [node], tokens, "--connections", "200", "--duration", "3s", "--rate", "50", "--processes", "2", "--fresh"
        )
        assert status == 0, said
        assert told["connections"]["connected"] == 200
        assert told["error_rate"] == 0.0
        assert promise_kept(told), told["history"]
        history = told["history"]
        assert (history["duplicated"], history["reordered"], history["holes"]) == (0, 0, 0)
        assert history["sent"] == 150
        assert history["expected"] == history["applied"] == 300
        assert told["fanout_ms"]["count"] == 300
        assert told["ack_ms"]["count"] == 150
        assert told["nodes"][0]["connections_peak"] == 200
        assert told["nodes"][0]["memory_peak_bytes"] > 10e6
        assert len(told["clients"]) == 2
        for phase in ("connect", "settle", "traffic", "drain", "judge"):
            assert f"\n{phase}" in f"\n{said}"

        # Again over the same database, where conversations have rows that this run did not make; and a
        # limit that nothing can keep.
        status, told, said = load(
            [node], tokens, "--connections", "150", "--duration", "1s", "--rate", "50", "--max-fanout-p95-ms", "0"
        )
        assert status == 1
        assert "fan-out p95 is" in said
        assert promise_kept(told), told["history"]
        assert told["history"]["sent"] == 50


def test_the_report_has_the_checklists_blanks(database_url: str, tmp_path: Path):
    tokens = seed(database_url, tmp_path, 20, size=5)
    with running_node(database_url, tmp_path / "log") as node:
        command = load_command([node], tokens, "--connections", "20", "--duration", "1s", "--rate", "20",
                               "--sizes", "5:1", "--json", str(tmp_path / "figures"))  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for blank in (
        "p95 latency: ", "Max connections: 20", "Error rate: 0.000%", "Memory per node: ", "CPU per node: ",
        "Total messages sent: 20", "Total messages received: 100", "Loss rate: 0.0000%",
    ):  # fmt: skip
        assert f"\n{blank}" in f"\n{done.stdout}"
    assert json.loads((tmp_path / "figures").read_text())["history"]["applied"] == 100


@pytest.mark.parametrize(
    ("signum", "unexpected", "drained"),
    [(signal.SIGKILL, {"1006": 20}, 0), (signal.SIGTERM, {}, 20)],
    ids=["killed", "drained"],
)
def test_clients_of_a_node_that_ends_go_on_at_another(
    database_url: str, tmp_path: Path, signum: signal.Signals, unexpected: dict[str, int], drained: int
):
    """Sends without an ack are repeated there, and each device resumes from its cursors."""
    tokens = seed(database_url, tmp_path, 40)
    with running_node(database_url, tmp_path / "one") as one, running_node(database_url, tmp_path / "two") as two:
        command = load_command([one, two], tokens, "--json", "-", "--connections", "40", "--duration", "5s",
                               "--rate", "50")  # fmt: skip
        said = tmp_path / "said"
        with (
            said.open("w") as errors,
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            eventually(lambda: "\ntraffic" in said.read_text())
            one.process.send_signal(signum)
            output, _ = process.communicate(timeout=120)
    told = json.loads(output)
    assert promise_kept(told), (told["history"], said.read_text())
    assert told["history"]["sent"] == 250
    connections = told["connections"]
    assert (connections["unexpected_closes"], connections["drained"]) == (unexpected, drained)
    assert connections["reconnects"] >= 20
    assert process.returncode == 0, said.read_text()
