"""What is generated, judged by the programs that will read it: promtool and amtool."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import monitoringconfig
from tests.support.binaries import require
from tests.support.repository import ALERTS, DASHBOARDS, ROOT, SLOS


def accepted(program: str, *arguments: str | Path) -> str:
    done = subprocess.run([require(program), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def monitoring(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitoring", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_promtool_accepts_every_rule_file() -> None:
    files = sorted((ALERTS / "rules").glob("*.yml"))
    assert files
    accepted("promtool", "check", "rules", *files)


def test_promtool_accepts_the_prometheus_configuration_and_finds_its_rules() -> None:
    rule_files = len(list((ALERTS / "rules").glob("*.yml")))
    assert f"{rule_files} rule files found" in accepted("promtool", "check", "config", ALERTS / "prometheus.yml")


def test_amtool_accepts_the_alertmanager_configuration() -> None:
    accepted("amtool", "check-config", ALERTS / "alertmanager.yml")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=Watchdog", "severity=none"), "watchdog"),
        (("alertname=OnCallDrill", "severity=none"), "drill"),
        (("alertname=FanoutLatencyThreshold", "severity=page"), "page"),
        (("alertname=DeliveryBudgetBurn", "severity=ticket"), "ticket"),
        (("alertname=SomebodysMistake",), "ticket"),
    ],
)
def test_amtool_routes_each_alert_to_its_receiver(labels: tuple[str, ...], receiver: str) -> None:
    routed = accepted("amtool", "config", "routes", "test", f"--config.file={ALERTS / 'alertmanager.yml'}", *labels)
    assert routed.strip() == receiver


def test_the_checklists_scrape_configuration_is_there() -> None:
    found = yaml.safe_load((ALERTS / "prometheus.yml").read_text())
    assert found["global"]["scrape_interval"] == "15s"
    assert found["scrape_configs"][0] == {
        "job_name": "secure-messenger",
        "static_configs": [{"targets": ["node1:9090", "node2:9090", "node3:9090"]}],
    }


def test_what_is_in_the_tree_is_what_the_specs_say() -> None:
    done = monitoring("check")
    assert done.returncode == 0, done.stderr


def test_grafanas_provisioning_files_have_the_shape_it_reads() -> None:
    sources = yaml.safe_load((DASHBOARDS / "provisioning/datasources/prometheus.yaml").read_text())
    providers = yaml.safe_load((DASHBOARDS / "provisioning/dashboards/messenger.yaml").read_text())
    board = json.loads((DASHBOARDS / "messenger-overview.json").read_text())
    assert sources["apiVersion"] == providers["apiVersion"] == 1
    assert sources["datasources"][0]["uid"] == board["templating"]["list"][0]["current"]["value"]
    assert sources["datasources"][0]["jsonData"]["timeInterval"] == "15s"


def test_a_service_that_is_no_messenger_is_generated_for(tmp_path: Path) -> None:
    config = monitoringconfig.write(tmp_path)
    first = monitoring("generate", "--config", config)
    assert first.returncode == 0, first.stderr
    accepted("promtool", "check", "config", tmp_path / "out/alerts/prometheus.yml")
    accepted("amtool", "check-config", tmp_path / "out/alerts/alertmanager.yml")


def test_a_scaled_environment_of_the_messenger_is_accepted(tmp_path: Path) -> None:
    """What the development stack does: its own config, scraping every second, windows ÷ 12."""
    config = tmp_path / "monitoring.yaml"
    own = yaml.safe_load((ROOT / "monitoring/monitoring.yaml").read_text())
    environment = own["environments"].pop("production")
    environment |= {"scrape_interval": "1s", "evaluation_interval": "1s", "window_divisor": 12}
    own |= {
        "specs": [str(SLOS)],
        "outputs": {"alerts": "alerts", "dashboards": "dashboards"},
        "environments": {"development": environment},
    }
    config.write_text(yaml.safe_dump(own))
    done = monitoring("generate", "--config", config, "--env", "development")
    assert done.returncode == 0, done.stderr
    accepted("promtool", "check", "config", tmp_path / "alerts/prometheus.yml")
    assert "increase10s" in (tmp_path / "alerts/rules/slo-fanout-latency.yml").read_text()
