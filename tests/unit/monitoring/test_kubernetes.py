"""The same rules and boards as Kubernetes objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from monitoring import config
from monitoring.errors import ConfigError
from monitoring.generate import changes, plan, write
from tests.support import monitoringconfig

OUTPUTS = "  dashboards: out/dashboards\n"
WANTED = "  kubernetes:\n    folder: out/kubernetes\n    namespace: watch\n    labels: {release: prometheus}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    wanted = plan(config.load(monitoringconfig.write(tmp_path, OUTPUTS, OUTPUTS + WANTED), "production"))
    write(wanted)
    assert changes(wanted).missing == ()
    return tmp_path / "out"


def test_each_rule_file_is_a_prometheus_rule_with_the_same_groups(folder: Path) -> None:
    files = sorted((folder / "alerts/rules").glob("*.yml"))
    assert files
    for file in files:
        rule = yaml.safe_load((folder / f"kubernetes/rules-{file.stem}.yaml").read_text())
        assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert rule["metadata"] == {"name": file.stem, "namespace": "watch", "labels": {"release": "prometheus"}}
        assert rule["spec"] == yaml.safe_load(file.read_text())


def test_each_board_is_a_config_map_that_grafanas_sidecar_finds(folder: Path) -> None:
    boards = sorted((folder / "dashboards").glob("*-slos.json"))
    assert boards
    for board in boards:
        found = yaml.safe_load((folder / f"kubernetes/dashboard-{board.stem}.yaml").read_text())
        assert found["metadata"]["labels"] == {"release": "prometheus", "grafana_dashboard": "1"}
        assert json.loads(found["data"][board.name]) == json.loads(board.read_text())


def test_without_the_key_there_are_none(tmp_path: Path) -> None:
    wanted = plan(config.load(monitoringconfig.write(tmp_path), "production"))
    assert not [path for path in wanted.files if "kubernetes" in path.parts]


def test_a_folder_must_be_named(tmp_path: Path) -> None:
    path = monitoringconfig.write(tmp_path, OUTPUTS, f"{OUTPUTS}  kubernetes: {{namespace: watch}}\n")
    with pytest.raises(ConfigError, match=r"monitoring\.yaml:6: outputs\.kubernetes: the field 'folder' is missing"):
        config.load(path, "production")
