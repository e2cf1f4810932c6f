"""`make cluster` as a user has it: everything is watched, one that dies comes back, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from deploy.stack.settings import ClusterPorts
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port
from tests.support.stack import FAST

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def left_behind(folder: Path) -> list[str]:
    """Processes that were told of this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in f"{process.cmdline()} {process.environ()}" and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def verified(folder: Path, ports: Mapping[str, str]) -> None:
    """The checklist, by its own command: what it can look at here and what no slow machine fails is ticked."""

    def at(name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{ports[name]}{path}"

    told = json.loads((folder / "cluster.json").read_text())
    node = psutil.Process(told["nodes"][0]["pid"]).environ()
    settings = folder / "node.env"
    settings.touch(mode=0o600)
    settings.write_text(
        "".join(f"{key}={node[key]}\n" for key in ("APP_ENV", "DATABASE_URL", "REDIS_URL", "JWT_SECRET"))
    )
    metrics = ("METRICS_PORT", "NODE2_METRICS_PORT", "NODE3_METRICS_PORT")
    words = [
        *(f"--metrics-url={at(name, '/metrics')}" for name in metrics),
        f"--url={at('PROXY_PORT')}", f"--prometheus={at('PROMETHEUS_PORT')}", f"--logs={folder / 'logs'}",
        f"--alertmanager={at('ALERTMANAGER_PORT')}", f"--oncall={at('ONCALL_PORT')}", f"--env-file={settings}",
        f"--password-file={folder / 'secrets' / 'oncall-password'}", f"--nginx-conf={folder / 'nginx' / 'nginx.conf'}",
        f"--probe-token-file={folder / 'secrets' / 'probe-token'}", f"--node-url={at('PORT')}",
        f"--node-url={at('NODE2_PORT')}", f"--board={folder / 'dashboards' / 'messenger-overview.json'}",
        f"--out={folder / 'verified'}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "monitoring", "verify", *words], cwd=ROOT, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 1, done.stderr  # nobody has loaded it, and nothing was rolled back
    lines = re.findall(r"^(ticked|failed|not run) +(\w+):", done.stderr, re.MULTILINE)
    states = {name: state for state, name in lines}
    wanted = [
        "database_url", "redis_version", "sticky", "targets", "alert_told", "alert_resolved", "migrated",
        "device_table", "device_indexes", "three_nodes", "health", "web_client", "link", "link_by_code", "revoke",
        "revoked_from_list", "login", "bus", "between_nodes", "device_sessions", "scrape_config", "dashboard_valid",
        "panels_drawn", "cache_year", "websocket", "devices_api", "metrics", "connections_active", "refresh", "receipt",
    ]  # fmt: skip
    assert [name for name in wanted if states[name] != "ticked"] == [], done.stderr
    assert states["multi_loss"] == states["code_back"] == "not run"
    assert node["JWT_SECRET"] not in (folder / "verified" / "checklist.json").read_text()


def test_everything_is_watched_comes_back_and_goes_away() -> None:
    with tempfile.TemporaryDirectory(prefix="messenger-e2e-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        folder = Path(name) / "run"
        ports = {field.name.upper(): str(free_port()) for field in fields(ClusterPorts)}
        output = Path(name) / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cluster"], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
                env=os.environ | FAST | ports | {"RUN_DIR": str(folder)},
            )  # fmt: skip
        try:
            eventually(lambda: process.poll() is not None or "stop it:" in output.read_text(), within_s=120)
            assert process.poll() is None, output.read_text()
            prometheus = f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}"

            def ask(path: str, **more: Any) -> Any:
                try:
                    return requests.get(f"{prometheus}/api/v1/{path}", timeout=5, **more).json()["data"]
                except requests.ConnectionError:
                    return {"activeTargets": [], "result": []}

            def up() -> list[str]:
                targets = ask("targets")["activeTargets"]
                return sorted(one["labels"]["job"] for one in targets if one["health"] == "up")

            eventually(lambda: len(up()), lambda count: count == 11, within_s=60)
            assert up().count("secure-messenger") == 3
            # Probes come by way of nginx with TLS, canaries go over every pair of nodes.
            # On a slow machine some of them are late.
            arrived = 'messenger_probe_canaries_total{outcome=~"delivered|late"}'
            delivered = f"count(sum by (source, target) ({arrived}) > 0)"
            eventually(
                lambda: ask("query", params={"query": delivered})["result"],
                lambda result: result and result[0]["value"][1] == "9",
                within_s=120,
            )

            def pids() -> dict[str, int | None]:
                told = json.loads((folder / "cluster.json").read_text())
                return {node["name"]: node["pid"] for node in told["nodes"]}

            verified(folder, ports)
            before = pids()["node2"]
            assert before
            os.kill(before, signal.SIGKILL)
            eventually(lambda: pids()["node2"] not in (None, before))
            assert left_behind(folder)  # what is looked for below is there now
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
            eventually(lambda: left_behind(folder), lambda found: not found)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)
