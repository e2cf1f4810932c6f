"""`check` asks promtool and amtool about what is planned, and says what they find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitoring import config
from monitoring.__main__ import main
from monitoring.alerting.verify import verify
from monitoring.generate import Plan, plan
from tests.support import monitoringconfig
from tests.support.binaries import require

PLANNED = """\
- id: everything
  start: 2030-05-01T23:30:30Z
  end: 2030-05-03T00:30:30Z
  declared: 2030-04-20T09:00:00Z
- id: the-shop
  start: 2030-06-01T20:00:00Z
  end: 2030-06-02T00:00:00Z
  declared: 2030-04-20T09:00:00Z
  services: [shop]
- id: checkout
  start: 2030-07-01T20:00:00Z
  end: 2030-07-01T21:00:00Z
  declared: 2030-04-20T09:00:00Z
  slos: [checkout]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A config with a receiver of each kind, and maintenance of each kind."""
    path = monitoringconfig.every_receiver(tmp_path)
    path.write_text(path.read_text() + "maintenance: maintenance.yaml\n")
    (tmp_path / "maintenance.yaml").write_text(PLANNED)
    for program in ("promtool", "amtool"):
        require(program)
    return path


@pytest.fixture
def wanted(path: Path) -> Plan:
    return plan(config.load(path, "production"))


def found(wanted: Plan) -> list[str]:
    return verify(wanted.files, wanted.folders[0], wanted.routes)


def changed(wanted: Plan, name: str, old: bytes, new: bytes) -> Plan:
    """The plan with one thing changed in a file."""
    (path,) = (path for path in wanted.files if path.name == name)
    assert old in wanted.files[path]
    return replace(wanted, files=dict(wanted.files) | {path: wanted.files[path].replace(old, new)})


def run(command: str, path: Path) -> Result:
    return CliRunner().invoke(main, [command, "--config", str(path)])


def test_every_receiver_and_every_kind_of_maintenance_is_accepted_and_routed(path: Path, wanted: Plan) -> None:
    assert found(wanted) == []
    assert len(wanted.routes) > 20
    assert run("generate", path).exit_code == 0
    done = run("check", path)
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_route_that_goes_elsewhere_is_told(wanted: Plan) -> None:
    lost = changed(wanted, "alertmanager.yml", b'severity=~"critical|page"', b'severity="critical"')
    told = found(lost)
    assert any("severity=page" in line and "should reach page; amtool says ticket" in line for line in told)


def test_what_amtool_and_promtool_refuse_is_told_with_its_file(wanted: Plan) -> None:
    (told,) = found(changed(wanted, "alertmanager.yml", b"end_time: '24:00'", b"end_time: '25:00'"))
    assert "out/alerts/alertmanager.yml: amtool: " in told
    (told,) = found(changed(wanted, "messages.tmpl", b"{{ end }}", b"{{ emd }}"))
    assert "out/alerts/alertmanager.yml: amtool: " in told
    assert "emd" in told
    (told,) = found(changed(wanted, "slo-checkout.yml", b"sum(", b"sum(("))
    assert "out/alerts/prometheus.yml: promtool: " in told
    assert "slo-checkout.yml" in told


def test_a_program_that_is_missing_is_told_and_is_no_success(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("generate", path).exit_code == 0
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("check", path)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "promtool is missing, so its part is unchecked; install the Debian package prometheus",
        "amtool is missing, so its part is unchecked; install the Debian package prometheus-alertmanager",
    ]


def test_a_mistake_in_the_maintenance_file_stops_generate(path: Path) -> None:
    (path.parent / "maintenance.yaml").write_text(PLANNED.replace("[checkout]", "[chekout]"))
    done = run("generate", path)
    assert done.exit_code == 2
    assert "maintenance.yaml:14: [2].slos: no SLO 'chekout'" in done.stderr
    assert not (path.parent / "out").exists()
