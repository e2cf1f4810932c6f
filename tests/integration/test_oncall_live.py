"""On-call beside a real Prometheus and a real Alertmanager, which are killed around an incident."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.support.alertmanager import http_sink
from tests.support.chain import PASSWORD, Chain
from tests.support.probing import Probing, write_settings
from tests.support.servers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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
            with chain.thing():
                eventually(chain.incidents, lambda found: not found, within_s=40)
                eventually(lambda: chain.told("Down"), lambda told: told == ["firing", "resolved"], within_s=40)
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
        for more, said in (((), ("told", "its end told")), (("--call", "page"), ("arrived", "resolved"))):
            done = subprocess.run([*command, "40", *more], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert re.fullmatch(rf"{said[0]} after [\d.]+ s\n{said[1]} after [\d.]+ s\n", done.stdout)
        eventually(lambda: chain.told("OnCallTest"), lambda told: told == ["firing", "resolved"], within_s=40)
        assert chain.told("On-call drill") == ["firing", "resolved"]
        assert {one["title"] for one in chain.ask("/api/incidents")} == {"Down", "OnCallTest"}
    done = subprocess.run([*command, "1"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Alertmanager did not take it" in done.stderr


def test_a_prober_sees_how_long_an_alert_takes_and_nobody_is_called_for_it(chain: Chain) -> None:
    oncall = {"url": f"http://{chain.at['oncall']}", "name": "oncall", "password_file": "password"}
    metrics = {"port": int(chain.at["prober"].split(":")[1])}
    probes = {"alerts": {"every": "40s", "timeout": "20s"}}
    settings = write_settings(chain.folder, "http://127.0.0.1:1", probes, oncall=oncall, metrics=metrics)
    prober = Probing(settings, f"http://{chain.at['prober']}/metrics")

    def runs(outcome: str) -> float:
        return prober.counted("messenger_probe_runs_total", probe="alerts", outcome=outcome)

    with chain.part("oncall"), chain.part("alertmanager"), chain.part("prometheus"), chain.thing():
        with chain.part("prober"):
            eventually(lambda: runs("ok"), within_s=40)
            assert prober.counted("messenger_probe_run_seconds_bucket", probe="alerts", le="60.0") == 1
            assert prober.counted("messenger_probe_drill") == 0
        assert chain.told("On-call drill") == ["firing", "resolved"]
        assert chain.ask("/api/incidents") == [], "a drill is no incident"
        assert {one["labels"]["alertname"] for one in chain.ask("/api/events")} == {"Watchdog"}
        shown = requests.get(f"http://{chain.at['oncall']}/", auth=("oncall", PASSWORD), timeout=5).text
        assert re.search(r"The last drill arrived .*, was told after \d+ s, and is over", shown)
    with chain.part("oncall"), chain.part("prometheus"), chain.part("prober"):
        eventually(lambda: runs("failed"), within_s=40)  # there is no Alertmanager
        assert prober.counted("messenger_probe_failures_total", probe="alerts", reason="timeout") == 1


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
