"""On-call beside a real Prometheus and a real Alertmanager, which are killed around an incident."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.support.alertmanager import Sink, http_sink
from tests.support.binaries import require
from tests.support.processes import running
from tests.support.servers import eventually, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOKEN, PASSWORD = "webhook-token-of-the-tests", "password-of-the-tests"
RULES = """\
groups:
  - name: all
    rules:
      - {record: 'slo:error_budget_remaining:ratio', expr: vector(0.25), labels: {slo_id: thing-up}}
      - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
      - {alert: Down, expr: 'up{job="thing"} == 0', labels: {severity: page}, annotations: {summary: it is down}}
"""
PROMETHEUS = """\
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {region: here}}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [ALERTMANAGER]}]}]}
scrape_configs: [{job_name: thing, static_configs: [{targets: [THING]}]}]
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
watchdog: {within: 6s}
confirm_after: 3s
prometheus: {url: "http://PROMETHEUS"}
alertmanager: {url: "http://ALERTMANAGER"}
heartbeat: {url_file: heartbeat-url, every: 1s}
"""


class Chain:
    """What watches the thing, each part with its address; parts are killed and started again."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.folder, self.sink = folder, sink
        names = ("thing", "prometheus", "alertmanager", "oncall")
        self.at = {name: f"127.0.0.1:{free_port()}" for name in names}
        configured = {"rules.yml": RULES, "prometheus.yml": PROMETHEUS, "alertmanager.yml": ALERTMANAGER}
        for name, text in (configured | {"oncall.yaml": ONCALL}).items():
            for key, address in self.at.items():
                text = text.replace(key.upper(), address)
            (folder / name).write_text(text.replace("TOKEN", TOKEN).replace("SINK", sink.url))
        (folder / "token").write_text(TOKEN)
        (folder / "password").write_text(PASSWORD)
        (folder / "heartbeat-url").write_text(f"{sink.url}/heartbeat")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Runs until the end of the block, then is killed."""
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
        }  # fmt: skip
        ready = {"oncall": "/health"}.get(name, "/-/ready")
        with running(folder / f"{name}.log", f"http://{at}{ready}", *map(str, commands[name])):
            yield

    def incidents(self) -> dict[str, Any]:
        """The open incidents by title."""
        url = f"http://{self.at['oncall']}/api/incidents?open=1"
        return {one["title"]: one for one in requests.get(url, auth=("oncall", PASSWORD), timeout=5).json()}

    def told(self, title: str) -> list[str]:
        """What the hook heard of it, in order, each event once."""
        notes = [one for body in self.sink.bodies("/hook") for one in body["notifications"] if one["title"] == title]
        return list({one["event"]: one["state"] for one in notes}.values())


class Thing(http.server.BaseHTTPRequestHandler):
    """Something that is up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_request(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with http_sink() as sink:
        yield Chain(tmp_path, sink)


def test_a_prometheus_that_dies_resolves_nothing_and_is_itself_noticed(chain: Chain) -> None:
    with chain.part("oncall"), chain.part("alertmanager"):
        with chain.part("prometheus"):
            eventually(chain.incidents, lambda found: set(found) == {"Down"})
            eventually(lambda: chain.told("Down"), lambda told: told == ["firing"])
        eventually(lambda: chain.incidents()["Down"]["doubted_at"])
        eventually(chain.incidents, lambda found: set(found) == {"Down", "The Watchdog is silent"})
        with chain.part("prometheus"):
            eventually(chain.incidents, lambda found: set(found) == {"Down"})
            host, port = chain.at["thing"].split(":")
            server = http.server.ThreadingHTTPServer((host, int(port)), Thing)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            try:
                eventually(chain.incidents, lambda found: not found, within_s=40)
                eventually(lambda: chain.told("Down"), lambda told: told == ["firing", "resolved"], within_s=40)
            finally:
                server.shutdown()
                server.server_close()
    assert chain.told("The Watchdog is silent") == ["firing", "resolved"]
    assert set(chain.sink.gets) == {"/heartbeat"}


def test_silences_and_incidents_outlive_every_part_that_is_killed(chain: Chain) -> None:
    silences = f"http://{chain.at['alertmanager']}/api/v2/silences"
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ann", "comment": "it is known",
    }  # fmt: skip
    with ExitStack() as alertmanager, chain.part("prometheus"):
        alertmanager.enter_context(chain.part("alertmanager"))
        with chain.part("oncall"):
            incident = eventually(lambda: chain.incidents().get("Down"))
            assert requests.post(silences, json=silence, timeout=5).ok
            eventually(lambda: chain.incidents()["Down"]["silenced"])
        alertmanager.close()
        shutil.rmtree(chain.folder / "am")  # its snapshot comes every 15 minutes: a fresh silence is in no file
        with chain.part("alertmanager"), chain.part("oncall"):
            eventually(lambda: [one["comment"] for one in requests.get(silences, timeout=5).json()] == ["it is known"])
            after = chain.incidents()["Down"]
            assert (after["event"], after["id"]) == (incident["event"], incident["id"])
            assert chain.told("Down") == ["firing"]


def test_a_test_alert_goes_the_whole_way_and_back(chain: Chain) -> None:
    command = [
        sys.executable, "-m", "monitoring", "oncall", "test", "--alertmanager", f"http://{chain.at['alertmanager']}",
        "--url", f"http://{chain.at['oncall']}", "--password-file", str(chain.folder / "password"), "--within",
    ]  # fmt: skip
    with chain.part("alertmanager"), chain.part("oncall"), chain.part("prometheus"):
        done = subprocess.run([*command, "40"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r"arrived after [\d.]+ s\nresolved after [\d.]+ s\n", done.stdout)
        eventually(lambda: chain.told("OnCallTest"), lambda told: told == ["firing", "resolved"], within_s=40)
    done = subprocess.run([*command, "1"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Alertmanager did not take it" in done.stderr


def test_somebody_at_a_browser_signs_in_and_takes_an_incident(chain: Chain, browser: Browser) -> None:
    with chain.part("oncall"), chain.part("alertmanager"), chain.part("prometheus"):
        eventually(lambda: chain.told("Down"))
        page = browser.new_page()
        page.goto(f"http://{chain.at['oncall']}/")
        page.get_by_label("Name").fill("oncall")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        budgets = page.get_by_role("listitem").filter(has_text="thing-up")
        eventually(
            lambda: page.reload() and budgets.count() and budgets.inner_text(), lambda text: text == "thing-up 25.0 %"
        )
        page.get_by_role("link", name="Down").click()
        page.get_by_role("button", name="Acknowledge").click()
        page.get_by_label("Note").fill("the cable is out")
        page.get_by_role("button", name="Add").click()
        page.get_by_text("noted: the cable is out").wait_for()
        assert page.get_by_role("button", name="Acknowledge").count() == 0
        page.get_by_role("link", name="People and audit").click()
        page.get_by_text("acknowledge: incident 1").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="On call").wait_for()
        page.close()
