"""`init`: from an empty folder to rules that Prometheus loads, and never over anybody's file."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from monitoring import config
from monitoring.__main__ import main
from monitoring.scaffold.project import FILES
from tests.support.binaries import require
from tests.support.repository import ROOT

STRUCTS = (
    config.File, config.Outputs, config.Kubernetes, config.Links, config.Environment, config.PrometheusSettings,
    config.AlertmanagerSettings, config.Receivers, config.Receiver, config.NamedReceiver, config.Slack, config.Email,
    config.PagerDuty, config.Grafana,
)  # fmt: skip


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
    path = folder / "monitoring.yaml"
    assert tree(folder) == set(FILES)
    assert all(f"{folder / name}\n" in done.output for name in FILES)
    assert f"python -m monitoring generate --config '{path}'\n" in done.output
    right(run("generate", "--config", path))
    files = right(run("check", folder))
    assert ": 0 errors" in files.output
    assert "warning" not in files.output
    (folder / "alerts/rules/watchdog.yml").unlink()  # so that the next run has something to write
    for environment in ("production", "trial"):
        chosen = ("--config", path, "--env", environment)
        assert "new: " in right(run("generate", *chosen)).output
        assert right(run("generate", *chosen)).output.endswith(" files are up to date\n")
        right(run("explain", *chosen))
    for environment in ("production", "trial"):  # neither has touched what is the other's
        right(run("check", "--config", path, "--env", environment))
    for alerts in (folder / "alerts", folder / "trial/alerts"):
        accepted("promtool", "check", "config", alerts / "prometheus.yml")
        accepted("amtool", "check-config", alerts / "alertmanager.yml")


def test_every_runbook_that_its_alerts_link_to_is_there(tmp_path: Path) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    right(run("generate", "--config", tmp_path / "monitoring.yaml"))
    rules = "".join(path.read_text() for path in (tmp_path / "alerts/rules").iterdir())
    linked = {line.rsplit("/", 1)[-1] for line in rules.splitlines() if "runbook_url: " in line}
    assert linked <= {path.name for path in (tmp_path / "runbooks").iterdir()}
    assert linked


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_key_of_a_config_is_explained_in_the_new_one(tmp_path: Path, struct: type[msgspec.Struct]) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    text = (tmp_path / "monitoring.yaml").read_text()
    for field in {*struct.__struct_encode_fields__} - {"mixins"}:  # there is one, and it is the messenger's
        assert re.search(rf"^\s*(#\s+)?{field}:", text, re.MULTILINE), f"{field} is not in monitoring.yaml"


def test_what_stands_in_its_comments_is_right_too(tmp_path: Path) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    path = tmp_path / "monitoring.yaml"
    before, example, after = re.split(r"(?<=file of its own:\n)((?:#   .*\n)+)", path.read_text())
    (tmp_path / "maintenance.yaml").write_text(example.replace("#   ", ""))
    path.write_text(before + re.sub(r"^( *)# ( *[a-z][a-z_-]*:( .*)?)$", r"\1\2", after, flags=re.MULTILINE))
    right(run("generate", "--config", path))
    accepted("amtool", "check-config", tmp_path / "alerts/alertmanager.yml")
    loaded = config.load(path, "production")
    assert loaded.environment.receivers.names == ("oncall", "team-hook", "team-chat", "team-mail", "team-duty")
    assert "new-database" in (tmp_path / "alerts/alertmanager.yml").read_text()


def test_in_its_own_folder_no_config_needs_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    right(run("init", ".", "--service", "shop"))
    right(run("generate"))
    assert (tmp_path / "alerts/rules/slo-shop-latency.yml").is_file()
    right(run("check"))
    assert "shop-latency" in right(run("explain")).output


def test_the_commands_of_its_readme_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    right(run("init", ".", "--service", "shop"))
    shutil.copytree("specs", "OLD")
    commands = re.findall(r"python -m monitoring ([^`\n]+)", Path("README.md").read_text())
    assert len(commands) == 9
    for command in sorted(commands, key=lambda text: not text.startswith("generate")):
        too_much = command.startswith(("gate", "report", "proofs"))  # ask a Prometheus, or take seconds
        right(run(*command.split(), *(["--help"] if too_much else [])))
    flags = re.findall(r"--[a-z]\S+", Path("README.md").read_text())
    for file in ("prometheus.yml", "alertmanager.yml"):
        header = Path("trial/alerts", file).read_text().split("global:")[0].split("route:")[0]
        for flag in re.findall(r"--(?:storage|rules|cluster)\S*[^\s;.]", header):
            assert flag in flags, f"README.md does not start with {flag}"


def test_the_walk_through_of_the_docs_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/second-service.md").read_text()
    project, trial = re.findall(r"```sh\n(.+?)```", page, re.DOTALL)
    for line in (*project.splitlines(), trial.splitlines()[0]):
        if line.startswith("cd "):
            monkeypatch.chdir(line.removeprefix("cd "))
        else:
            right(run(*line.removeprefix("python -m monitoring ").split()))
    assert [line for line in trial.splitlines() if line.endswith("\\")] == [
        line for line in Path("README.md").read_text().splitlines() if line.endswith("\\")
    ]
    right(run("init", "other", *shlex.split(page.partition("are options: `")[2].partition("`")[0])))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: shutil.rmtree(folder / "specs"), "specs:1: no such file or directory"),
        (lambda folder: [path.unlink() for path in (folder / "specs").iterdir()], "specs: no specs in here; expected"),
        (lambda folder: (folder / "alerts").write_text(""), "alerts/prometheus.yml: not a directory"),
        (
            lambda folder: (folder / "alerts/prometheus.yml").mkdir(parents=True),
            "alerts/prometheus.yml: is a directory",
        ),
        (lambda folder: (folder / "monitoring.yaml").unlink(), "monitoring.yaml:1: cannot be read: no such file"),
    ],
)
def test_what_is_missing_or_in_the_way_is_said_in_one_line(
    tmp_path: Path, break_it: Callable[[Path], object], words: str
) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    break_it(tmp_path)
    before = tree(tmp_path)
    done = run("generate", "--config", tmp_path / "monitoring.yaml")
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert tree(tmp_path) == before


def test_an_environment_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    right(run("init", tmp_path, "--service", "shop"))
    done = run("generate", "--config", tmp_path / "monitoring.yaml", "--env", "staging")
    assert done.exit_code == 2
    assert "no environment 'staging'; there is production, trial" in done.stderr


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
