"""`init`: from an empty folder to rules that Prometheus loads, and never over anybody's file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitoring.__main__ import main
from monitoring.scaffold.project import FILES
from tests.support.binaries import require


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def right(done: Result) -> Result:
    assert done.exit_code == 0, done.output
    return done


def accepted(program: str, *arguments: str | Path) -> None:
    done = subprocess.run([require(program), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--service", "till", "--job", "till-web", "--target", "till1:8000", "--within", "0.5"),
        ("--requests", "flask_http_request_total", "--duration", "flask_http_request_duration_seconds"),
        ("--errors", "path=~\"it's: a # b.*$\",code!~'2..'"),
    ],
)
def test_what_it_writes_is_generated_for_and_accepted(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = tmp_path / "Shop 1"
    done = right(run("init", folder, *options))
    config = folder / "monitoring.yaml"
    assert tree(folder) == set(FILES)
    assert all(f"{folder / name}\n" in done.output for name in FILES)
    assert f"python -m monitoring generate --config {config}" in done.output
    right(run("generate", "--config", config))
    right(run("check", "--config", config))
    right(run("explain", "--config", config))
    files = right(run("check", folder))
    assert ": 0 errors" in files.output
    assert "warning" not in files.output
    accepted("promtool", "check", "config", folder / "alerts/prometheus.yml")
    accepted("amtool", "check-config", folder / "alerts/alertmanager.yml")


def test_every_runbook_that_its_alerts_link_to_is_there(tmp_path: Path) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    right(run("generate", "--config", tmp_path / "monitoring.yaml"))
    rules = "".join(path.read_text() for path in (tmp_path / "alerts/rules").iterdir())
    linked = {line.rsplit("/", 1)[-1] for line in rules.splitlines() if "runbook_url: " in line}
    assert linked <= {path.name for path in (tmp_path / "runbooks").iterdir()}
    assert linked


def test_a_folder_that_is_in_use_gets_only_what_is_missing_from_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("mine")
    right(run("init", tmp_path, "--service", "shop"))
    assert tree(tmp_path) == {*FILES, "app.py"}


def test_it_overwrites_nothing_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/latency.yaml").write_text("mine")
    (tmp_path / "runbooks").write_text("a file where a folder must be")
    done = run("init", tmp_path, "--service", "shop")
    assert done.exit_code == 2
    assert f"{tmp_path}/specs/latency.yaml: exists already" in done.stderr
    assert f"{tmp_path}/runbooks: exists already" in done.stderr
    assert "nothing was written" in done.stderr
    assert tree(tmp_path) == {"specs/latency.yaml", "runbooks"}
    assert (tmp_path / "specs/latency.yaml").read_text() == "mine"


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    done = run("init", tmp_path, "--service", "other")
    assert done.exit_code == 2
    assert done.stderr.count("exists already") == len(FILES)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--service", "Shop"), "--service: expected a letter"),
        (("--service", "null"), "--service: expected a letter"),
        (("--target", "shop"), "--target: expected host:port"),
        (("--requests", "http_requests"), "expected the selector of one counter"),
        (("--errors", "status"), "--requests, --errors: invalid label matcher"),
        (("--errors", 'a="b"} or up{c="d"'), "--requests, --errors:"),
        (("--duration", "http_request_duration_seconds_bucket"), "--duration: expected the histogram without"),
        (("--within", "a quarter"), "--within: expected seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    tmp_path: Path, options: tuple[str, str], words: str
) -> None:
    done = run("init", tmp_path / "shop", *options)
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "shop").exists()
