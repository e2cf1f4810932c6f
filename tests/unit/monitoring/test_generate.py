"""Generating: the same bytes each time, nothing touched that is not ours, and check tells the difference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitoring.__main__ import LAZY_COMMANDS, main
from monitoring.generate import MANIFEST
from tests.support import monitoringconfig, slospecs


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    path = monitoringconfig.write(tmp_path)
    assert run("generate", path).exit_code == 0
    return path


def run(command: str, config_path: Path, *more: str) -> Result:
    return CliRunner().invoke(main, [command, "--config", str(config_path), *more])


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_second_run_changes_no_byte_and_touches_no_file(config: Path) -> None:
    out = config.parent / "out"
    before, times = content(out), {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    again = run("generate", config)
    assert again.output == f"{len(before)} files are up to date\n"
    assert content(out) == before
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == times


def test_it_does_not_depend_on_where_it_is_run_from(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(config.parent / "out")
    monkeypatch.chdir("/")
    assert run("check", config).exit_code == 0
    run("generate", config)
    assert content(config.parent / "out") == before


def test_nothing_is_left_over_from_writing(config: Path) -> None:
    assert not list((config.parent / "out").rglob(".*"))


def test_the_manifest_is_what_sha256sum_reads(config: Path) -> None:
    folder = config.parent / "out/alerts"
    lines = dict(reversed(line.split("  ")) for line in (folder / MANIFEST).read_text().splitlines())
    files = content(folder)
    del files[MANIFEST]
    assert lines == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_check_is_silent_when_all_is_well(config: Path) -> None:
    done = run("check", config)
    assert done.exit_code == 0
    assert done.stderr == ""


def test_check_names_what_is_stale_missing_and_orphan(config: Path) -> None:
    alerts = config.parent / "out/alerts"
    (alerts / "prometheus.yml").write_text("edited")
    (alerts / "alertmanager.yml").unlink()
    (config.parent / "specs/spec.yaml").write_text(
        slospecs.SERVICE + "---\n" + slospecs.changed("name: checkout\n  display", "name: payment\n  display")
    )
    done = run("check", config)
    assert done.exit_code == 1
    told = {
        line.split(": ")[0].rsplit("/", 1)[-1]: line.split(": ")[1].split(";")[0] for line in done.stderr.splitlines()
    }
    assert told == {
        "prometheus.yml": "stale",
        "alertmanager.yml": "missing",
        "routes.md": "stale",
        MANIFEST: "stale",
        "slo-payment.yml": "missing",
        "slo-checkout.yml": "orphan",
        "shop-slos.json": "stale",
        "grafana-dashboard.json": "stale",
    }


def test_generate_removes_its_own_orphans_and_nothing_else(config: Path) -> None:
    rules = config.parent / "out/alerts/rules"
    (rules / "by-hand.yml").write_text("groups: []")
    (config.parent / "specs/spec.yaml").write_text(
        slospecs.SERVICE + "---\n" + slospecs.changed("name: checkout\n  display", "name: payment\n  display")
    )
    assert run("generate", config).exit_code == 0
    kept = ["by-hand.yml", "data.yml", "slo-payment.yml", "watchdog.yml"]
    assert sorted(p.name for p in rules.iterdir()) == kept
    assert run("check", config).exit_code == 0


def test_an_orphan_that_somebody_edited_is_left_alone(config: Path) -> None:
    edited = config.parent / "out/alerts/rules/slo-checkout.yml"
    edited.write_text("# precious notes")
    (config.parent / "specs/spec.yaml").write_text(slospecs.SERVICE)
    assert run("generate", config).exit_code == 0
    assert edited.read_text() == "# precious notes"


def test_a_manifest_cannot_point_outside_its_folder(config: Path) -> None:
    victim = config.parent / "victim"
    victim.write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    with (config.parent / "out/alerts" / MANIFEST).open("a") as manifest:
        manifest.write(f"{digest}  ../../victim\n")
    assert run("generate", config).exit_code == 0
    assert victim.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "scrape_interval: 15s",
            "scrape_interval: 31s",
            "window_divisor: a window of 2m ÷ 1 = 2m holds fewer than 4 scrapes",
        ),
        ("evaluation_interval: 15s", "evaluation_interval: 6m", "evaluation_interval: expected at most 5m"),
        ("retention: 35d", "retention: 15d", "prometheus.retention: the longest SLO period needs at least 35d"),
    ],
)
def test_an_environment_that_cannot_work_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    done = run("generate", monitoringconfig.write(tmp_path, old, new))
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.startswith(str(tmp_path / "monitoring.yaml"))
    assert not (tmp_path / "out").exists()


def test_each_service_has_a_board_however_alike_their_names_are(config: Path) -> None:
    services = [
        "my-shop",
        "my shop",
        "My-Shop",
        "\u5e97",
        "\u5e97\u8217",
        "shop.eu",
        "shop-eu",
        "a" * 35 + "-eu",
        "a" * 35 + "-us",
    ]
    for i, service in enumerate(services):
        spec = slospecs.SLO.replace("service: shop", f"service: {service}").replace(
            "name: checkout\n", f"name: n{i}\n", 1
        )
        (config.parent / f"specs/{i}.yaml").write_text(spec)
    (config.parent / "specs/spec.yaml").unlink()
    assert run("generate", config).exit_code == 0
    boards = [json.loads(path.read_text()) for path in (config.parent / "out/dashboards").glob("*-slos.json")]
    assert len({board["uid"] for board in boards}) == len(services)
    assert all(len(board["uid"]) <= 40 for board in boards)
    rules = "".join(path.read_text() for path in (config.parent / "out/alerts/rules").glob("slo-n*.yml"))
    assert all(f"https://grafana.test/d/{board['uid']}" in rules for board in boards)


def test_an_slo_of_any_name_keeps_its_rules(config: Path) -> None:
    spec = slospecs.SERVICE + "---\n" + slospecs.changed("name: checkout\n  displayName", "name: data\n  displayName")
    (config.parent / "specs/spec.yaml").write_text(spec)
    assert run("generate", config).exit_code == 0
    rules = "".join(path.read_text() for path in (config.parent / "out/alerts/rules").glob("*.yml"))
    assert "alert: DataBudgetBurn" in rules
    assert "alert: SloDataStale" in rules


def test_a_bad_spec_ends_with_status_2_and_writes_nothing(config: Path) -> None:
    (config.parent / "specs/spec.yaml").write_text("kind: Nonsense\n")
    before = content(config.parent / "out")
    done = run("generate", config)
    assert done.exit_code == 2
    assert "spec.yaml:1: apiVersion: expected openslo/v1" in done.stderr
    assert content(config.parent / "out") == before


def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(tmp_path: Path) -> None:
    path = monitoringconfig.write(tmp_path)
    (tmp_path / "out").write_text("a file")
    done = run("generate", path)
    assert done.exit_code == 2
    assert str(tmp_path / "out") in done.stderr


def test_an_unknown_environment_is_refused(config: Path) -> None:
    done = run("generate", config, "--env", "moon")
    assert done.exit_code == 2
    assert "no environment 'moon'; there is production" in done.stderr


def test_help_lists_every_command_without_importing_the_lazy_ones() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert all(name in done.output for name in (*LAZY_COMMANDS, "generate", "check"))
