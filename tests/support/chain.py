"""The chain of an alert, of real parts that are killed and started again: what fails, what sees it, who tells of it."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.alertmanager import Sink
from tests.support.binaries import require
from tests.support.processes import running
from tests.support.servers import free_port, node_environ

TOKEN, PASSWORD = "webhook-token-of-the-tests", "password-of-the-tests"
RULES = """\
groups:
  - name: all
    rules:
      - {record: 'slo:error_budget_remaining:ratio', expr: vector(0.25), labels: {slo_id: thing-up}}
      - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
      - {alert: Down, expr: 'up{job="thing"} == 0', labels: {severity: page}, annotations: {summary: it is down}}
      - alert: OnCallDrill
        expr: messenger_probe_drill > 0
        labels: {severity: none}
        annotations: {drill: '{{ printf "%.0f" $value }}'}
"""
PROMETHEUS = """\
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {region: here}}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [ALERTMANAGER]}]}]}
scrape_configs:
  - {job_name: thing, static_configs: [{targets: [THING]}]}
  - {job_name: messenger-probe, static_configs: [{targets: [PROBER]}]}
"""
ALERTMANAGER = """\
route:
  receiver: oncall
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 2s
receivers:
  - name: oncall
    webhook_configs:
      - url: http://ONCALL/alertmanager
        send_resolved: true
        http_config: {authorization: {credentials: TOKEN}}
"""
ONCALL = """\
people: {ann: {}}
escalation: {page: [{tell: [ann], by: [hook]}]}
ways: {hook: {hook: {url: "SINK/hook"}}}
drills: {by: [hook]}
watchdog: {within: 6s}
confirm_after: 3s
prometheus: {url: "http://PROMETHEUS"}
alertmanager: {url: "http://ALERTMANAGER"}
heartbeat: {url_file: heartbeat-url, every: 1s}
"""
READY = {"oncall": "/health", "prober": "/metrics", "messenger": "/health/ready"}


class Chain:
    """What watches the thing, each part with its address."""

    def __init__(self, folder: Path, sink: Sink, oncall: str = ONCALL, database_url: str = "") -> None:
        """`database_url` is the messenger's, which is a part only with it."""
        self.folder, self.sink, self._database_url = folder, sink, database_url
        self._running: dict[str, ExitStack] = {}
        names = ("thing", "prometheus", "alertmanager", "oncall", "prober", "messenger")
        self.at = {name: f"127.0.0.1:{free_port()}" for name in names}
        configured = {"rules.yml": RULES, "prometheus.yml": PROMETHEUS, "alertmanager.yml": ALERTMANAGER}
        for name, text in (configured | {"oncall.yaml": oncall}).items():
            for key, address in self.at.items():
                text = text.replace(key.upper(), address)
            (folder / name).write_text(text.replace("TOKEN", TOKEN).replace("SINK", sink.url))
        self._metrics_port = free_port()
        (folder / "token").write_text(TOKEN)
        (folder / "password").write_text(PASSWORD)
        (folder / "heartbeat-url").write_text(f"{sink.url}/heartbeat")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Runs until the end of the block, then is killed. The prober goes by probes.yaml of the folder."""
        at, folder = self.at[name], self.folder
        commands = {
            "prometheus": [
                require("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={at}",
                f"--storage.tsdb.path={folder / 'tsdb'}", "--rules.alert.resend-delay=1s",
            ],
            "alertmanager": [
                require("alertmanager"), f"--config.file={folder / 'alertmanager.yml'}", f"--web.listen-address={at}",
                f"--storage.path={folder / 'am'}", "--cluster.listen-address=",
            ],
            "oncall": [
                sys.executable, "-m", "monitoring", "oncall", "--port", at.split(":")[1],
                "--database", folder / "oncall.db", "--token-file", folder / "token",
                "--password-file", folder / "password", "--settings", folder / "oncall.yaml",
            ],
            "prober": [sys.executable, "-m", "monitoring", "probe", folder / "probes.yaml"],
            "messenger": [sys.executable, "-m", "app", "serve"],
        }  # fmt: skip
        env = None
        if name == "messenger":
            env = node_environ(self._database_url, PORT=at.split(":")[1], METRICS_PORT=str(self._metrics_port))
        url = f"http://{at}{READY.get(name, '/-/ready')}"
        with running(folder / f"{name}.log", url, *map(str, commands[name]), env=env):
            yield

    def start(self, *names: str) -> None:
        """Start parts that run until `kill`, or until the block of `whole` ends."""
        for name in names:
            self._running[name] = ExitStack()
            self._running[name].enter_context(self.thing() if name == "thing" else self.part(name))

    def kill(self, *names: str) -> None:
        """`kill -9`; the thing is only away."""
        for name in names:
            self._running.pop(name).close()

    @contextmanager
    def whole(self, *names: str) -> Iterator[None]:
        """These parts, started in this order; whatever runs at the end is killed."""
        try:
            self.start(*names)
            yield
        finally:
            self.kill(*tuple(self._running))

    @contextmanager
    def thing(self) -> Iterator[None]:
        """It is up until the end of the block."""
        host, port = self.at["thing"].split(":")
        server = http.server.ThreadingHTTPServer((host, int(port)), _Thing)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def ask(self, path: str) -> Any:
        """What on-call says."""
        return requests.get(f"http://{self.at['oncall']}{path}", auth=("oncall", PASSWORD), timeout=5).json()

    def incidents(self) -> dict[str, Any]:
        """The open incidents by title."""
        return {one["title"]: one for one in self.ask("/api/incidents?open=1")}

    def told(self, title: str) -> list[str]:
        """What the hook heard of it, in order, each event once."""
        return list({one["event"]: one["state"] for one in self.heard(title)}.values())

    def heard(self, title: str) -> list[dict[str, Any]]:
        """What the hook heard of it, with what it heard twice."""
        return [one for body in self.sink.bodies("/hook") for one in body["notifications"] if one["title"] == title]


class _Thing(http.server.BaseHTTPRequestHandler):
    """Something that is up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_request(self, *_: Any) -> None:
        """Silent."""
