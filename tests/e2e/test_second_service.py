"""Another service than the messenger, as its owner does it: from `init` to a page that arrives and a drawn board.

Everything is real: the command line, a shop with customers, Prometheus and Alertmanager
started with the flags that their generated files name. The environment `trial` that
`init` writes divides every window by 60.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
import yaml

from monitoring.boards.queries import all_panels, panel_queries
from tests.support.alertmanager import Sink, http_sink
from tests.support.binaries import require
from tests.support.processes import running
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port

pytestmark = pytest.mark.e2e

BY_HAND = Path(__file__).with_name("shop-specs.yaml")
WITHOUT_DATA = "shop-latency-native"
HALF_FAILING = {
    # Half of all requests fail, all are quick enough, and no payment can be taken.
    "shop-availability": 0.5,
    "shop-latency": 0,
    "shop-latency-p99": 0,
    "shop-up": 0,
    "payments-up": 1,
    "orders-raw": 0.5,
    "shop-minutes": 1,  # each slice is below its target
    "shop-month": 0.5,
    "shop-journey": 0.5,
    "shop-good-and-quick": 0.5,
    "shop-orders": 0.5,
}
"""The share of bad events of each SLO after a while."""


@dataclass
class House:
    """The project's folder, and where its running parts answer."""

    folder: Path
    shop: str
    prometheus: str
    sink: Sink

    def monitoring(self, *arguments: str) -> str:
        """The output of a command, given in the project's folder; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "monitoring", *arguments],
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def query(self, expr: str) -> list[Any]:
        """What Prometheus says now."""
        return self._ask("query", query=expr)["result"]

    def drawn(self, expr: str, seconds: int = 60) -> list[list[float]]:
        """The values of each line that a panel would draw over the last seconds."""
        now = time.time()
        found = self._ask("query_range", query=expr, start=now - seconds, end=now, step=1)
        return [[float(value) for _, value in line["values"]] for line in found["result"]]

    def rule_groups(self) -> list[Any]:
        """The rules as Prometheus evaluated them."""
        return self._ask("rules")["groups"]

    def label_values(self, label: str, selector: str) -> list[str]:
        """What fills a variable of a board."""
        return self._ask(f"label/{label}/values", **{"match[]": selector})

    def firing(self) -> set[str]:
        """The names of the alerts that fire, but for the one that always does."""
        return {row["metric"]["alertname"] for row in self.query('ALERTS{alertstate="firing",alertname!="Watchdog"}')}

    def break_shop(self, **faults: Any) -> None:
        """Make it fail; without faults, make it whole."""
        assert requests.post(f"{self.shop}/test/faults", json=faults, timeout=5).ok

    def told(self, slo: str, status: str, severity: str = "page") -> list[dict[str, Any]]:
        """The alerts of an SLO that the on-call webhook was told of."""
        every = [alert for body in self.sink.bodies("/oncall") for alert in body["alerts"]]
        return [
            alert
            for alert in every
            if (alert["labels"].get("slo_id"), alert["labels"]["severity"], alert["status"]) == (slo, severity, status)
        ]

    def _ask(self, path: str, **data: Any) -> Any:
        answer = requests.get(f"{self.prometheus}/api/v1/{path}", params=data, timeout=10).json()
        assert answer["status"] == "success", (data, answer)
        return answer["data"]


def flags_in(file: Path) -> list[str]:
    """The flags that the first lines of a generated file name."""
    header = [line for line in file.read_text().splitlines()[:4] if line.startswith("#")]
    found = [flag.rstrip(".;") for flag in re.findall(r"--\S+", " ".join(header))]
    assert found, header
    return found


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="second-service-")))
        sink = stack.enter_context(http_sink())
        shop, prometheus, alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(3))
        folder = scratch / "shop"
        folder.mkdir()
        house = House(folder, f"http://{shop}", f"http://{prometheus}", sink)
        house.monitoring("init", ".", "--service", "shop", "--target", shop)

        config = folder / "monitoring.yaml"
        before, trial = config.read_text().split("  trial:\n")
        for old, new in (
            ("localhost:9090", prometheus),
            ("localhost:9093", alertmanager),
            ("http://localhost:9095/alertmanager", f"{sink.url}/oncall"),
        ):
            assert trial.count(old) == 1
            trial = trial.replace(old, new)
        trial += f"      named:\n        team-hook:\n          webhook: {{url: '{sink.url}/team'}}\n"
        config.write_text(f"{before}  trial:\n{trial}")
        shutil.copy(BY_HAND, folder / "specs")
        house.monitoring("generate", "--env", "trial")

        alerts = folder / "trial/alerts"
        stack.enter_context(
            running(
                scratch / "shop.log", f"http://{shop}/metrics",
                sys.executable, "-m", "tests.support.webshop", "--port", shop.split(":")[1],
            )
        )  # fmt: skip
        stack.enter_context(
            running(
                scratch / "alertmanager.log", f"http://{alertmanager}/-/ready",
                require("alertmanager"), f"--config.file={alerts / 'alertmanager.yml'}",
                f"--storage.path={scratch / 'alertmanager'}", f"--web.listen-address={alertmanager}",
                *flags_in(alerts / "alertmanager.yml"),
            )
        )  # fmt: skip
        stack.enter_context(
            running(
                scratch / "prometheus.log", f"http://{prometheus}/-/ready",
                require("prometheus"), f"--config.file={alerts / 'prometheus.yml'}",
                f"--storage.tsdb.path={scratch / 'prometheus'}", f"--web.listen-address={prometheus}",
                *flags_in(alerts / "prometheus.yml"),
            )
        )  # fmt: skip
        yield house


def test_what_was_generated_is_accepted_and_explained(house: House) -> None:
    alerts = house.folder / "trial/alerts"
    for command in (
        [require("promtool"), "check", "config", alerts / "prometheus.yml"],
        [require("amtool"), "check-config", alerts / "alertmanager.yml"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "are up to date" in house.monitoring("check", "--env", "trial")
    assert ": 0 errors" in house.monitoring("check", "specs", "monitoring.yaml", "trial/alerts", "trial/dashboards")
    explained = house.monitoring("explain", "--env", "trial")
    assert all(f"{slo}: " in explained for slo in (*HALF_FAILING, WITHOUT_DATA))
    assert (
        "| `ShopOrdersBudgetBurn` | `shop` | `shop-orders` | `page` | `,team-hook,` |  | `team-hook`, `page` |"
        in (alerts / "routes.md").read_text()
    )
    assert not (house.folder / "alerts").exists(), "one environment wrote into the folders of another"


def test_nothing_fires_while_all_is_well(house: House) -> None:
    def healthy() -> set[str]:
        """Those with slices and a period, and nothing bad now; on a busy machine something may have been slow."""
        measured = house.query(
            "slo:errors:ratio_rate5s == 0 and on (slo_id) slo:errors:ratio_period and on (slo_id)"
            " slo:events:slice_increase > 0 and on (slo_id) slo:error_budget_remaining:ratio"
        )
        return {row["metric"]["slo_id"] for row in measured}

    eventually(healthy, lambda found: found == set(HALF_FAILING))
    assert not [name for group in house.rule_groups() for name in group["rules"] if name["health"] == "err"]
    (month,) = house.query("slo:period_start:timestamp_seconds")
    start = datetime.fromtimestamp(float(month["value"][1]), ZoneInfo("Europe/Berlin"))
    assert (start.day, start.hour, start.minute) == (1, 0, 0)
    eventually(house.firing, lambda firing: not firing)
    eventually(lambda: "Watchdog" in house.sink.heard("/oncall"))
    assert house.query('slo:error_budget_remaining:ratio{slo_id="shop-availability"}')[0]["value"][1] == "1"
    assert not house.told("shop-availability", "firing")


def test_failures_page_and_their_end_is_told(house: House) -> None:
    house.break_shop(failures=0.5, payments_up=False)
    page = eventually(lambda: house.told("shop-availability", "firing"))[0]
    labels, annotations = page["labels"], page["annotations"]
    assert (
        labels.items()
        >= {
            "alertname": "ShopAvailabilityBudgetBurn",
            "slo_id": "shop-availability",
            "service": "shop",
            "severity": "page",
            "kind": "burnrate",
        }.items()
    )
    assert labels["tier"] in {"page-quick", "page-slow"}
    for text in annotations.values():
        assert "<no value>" not in text
        assert "error executing template" not in text
        assert "{{" not in text
    assert re.search(r"\d.*% of all events were bad over the last \dm", annotations["description"])
    assert re.search(r"Budget left: -?\d", annotations["description"])
    runbook, board = (annotations[key].rsplit("/", 1)[-1] for key in ("runbook_url", "dashboard_url"))
    assert (house.folder / "runbooks" / runbook).is_file()
    assert (house.folder / "trial/dashboards" / f"{board}.json").is_file()

    def measured() -> dict[str, float]:
        return {row["metric"]["slo_id"]: float(row["value"][1]) for row in house.query("slo:errors:ratio_rate5s")}

    eventually(measured, lambda found: found == pytest.approx(HALF_FAILING, abs=0.1))
    eventually(lambda: house.sink.heard("/team"), lambda heard: heard == {"ShopOrdersBudgetBurn"})
    told = eventually(lambda: house.told("shop-orders", "firing"))[0]
    assert told["labels"]["tier"] == "orders-burn"
    assert told["annotations"]["description"].startswith("Orders are failing. ")

    house.break_shop()
    ended = eventually(lambda: house.told("shop-availability", "resolved"))
    # Either tier may have fired first; what ends is one that was told of.
    assert ended[0]["fingerprint"] in {alert["fingerprint"] for alert in house.told("shop-availability", "firing")}


def test_slowness_pages_within_its_direct_window(house: House) -> None:
    house.break_shop(delay_s=0.3)
    alert = eventually(lambda: house.told("shop-latency", "firing"))[0]
    house.break_shop()
    assert alert["labels"]["alertname"] == "ShopLatencyThreshold"
    assert "no more than 5 % may be" in alert["annotations"]["description"]


def test_every_panel_of_its_board_is_drawn(house: House) -> None:
    board = json.loads((house.folder / "trial/dashboards/shop-slos.json").read_text())
    chosen = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), *(\w+)\)", variable["query"]).groups()
            values = house.label_values(label, selector)
            assert set(values) == {*HALF_FAILING, WITHOUT_DATA}
            chosen[variable["name"]] = "|".join(values)
    queries = panel_queries(board, rate_interval="5s", **chosen)
    panels = [panel for panel in all_panels(board) if panel.get("targets")]
    assert {query.panel_title for query in queries} == {panel["title"] for panel in panels}
    for query in queries:
        assert "$" not in query.expr
        if f'"{WITHOUT_DATA}"' in query.expr:
            continue  # its own row is empty, which is the truth
        lines = house.drawn(query.expr)
        assert lines, query
        assert all(math.isfinite(value) for line in lines for value in line), query
    for panel in panels:
        look = panel["fieldConfig"]["defaults"]
        assert look["unit"], panel["title"]
        assert look["thresholds"]["steps"], panel["title"]
    sources = yaml.safe_load((house.folder / "trial/dashboards/provisioning/datasources/prometheus.yaml").read_text())
    assert sources["datasources"][0]["url"] == house.prometheus
