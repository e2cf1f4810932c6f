"""Deploys: written whole and once, refused when wrong, read to the last whole line, exposed as metrics."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from monitoring.__main__ import main
from monitoring.deployments import journal
from monitoring.deployments.journal import Deployment
from monitoring.errors import CannotWriteError, OutOfRangeError
from monitoring.oncall.store import Store
from monitoring.oncall.web import create_app
from tests.support import monitoringconfig

NOW = 1_800_000_000.0


def deployment(at: float = NOW, **fields: str) -> Deployment:
    names = {"service": "shop", "environment": "production", "version": "v1", "author": "kim"} | fields
    return Deployment(at=datetime.fromtimestamp(at, UTC), **names)


def deploy(folder: Path, *arguments: str, version: str = "v1") -> Result:
    wanted = ["--config", str(folder / "monitoring.yaml"), "--version", version, "--author", "kim"]
    return CliRunner().invoke(main, ["event", "deploy", "--environment", "production", *wanted, *arguments])


def listed(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["event", "list", "--config", str(folder / "monitoring.yaml"), *arguments])


def test_a_deploy_is_written_listed_and_exposed(tmp_path: Path) -> None:
    monitoringconfig.write(tmp_path)
    for version, at in (("v1", "-1h"), ("v3", "now"), ("v2", "-5m")):
        assert deploy(tmp_path, "--at", at, "--note", "by CI", version=version).exit_code == 0
    told = json.loads(listed(tmp_path, "--format", "json").output)
    assert [(one["version"], one["service"], one["note"]) for one in told] == [
        ("v1", "shop", "by CI"), ("v2", "shop", "by CI"), ("v3", "shop", "by CI"),
    ]  # fmt: skip
    assert listed(tmp_path, "--since", "-10m").output.count("\n") == 2
    assert listed(tmp_path, "--service", "bank").output == ""
    metrics = exposed(tmp_path)
    assert metrics.count("monitoring_deploy_timestamp_seconds{") == 1
    assert '{author="kim",environment="production",service="shop",version="v3"}' in metrics
    assert "monitoring_deploy_journal_broken_lines 0.0" in metrics


def test_labels_bring_no_lines_of_their_own(tmp_path: Path) -> None:
    journal.append(tmp_path / "deployments.jsonl", deployment(version='v"1\\2'))
    assert 'version="v\\"1\\\\2"} 1.8e+09' in exposed(tmp_path)


def exposed(folder: Path) -> str:
    app = create_app(Store(folder / "oncall.db"), "t" * 16, "p" * 16, folder / "deployments.jsonl")
    return app.test_client().get("/metrics").text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--version", "x" * 101], "version: expected 1 to 100"),
        (["--version", "a\nb"], "version: expected"),
        (["--version", " a"], "version: expected"),
        (["--version", ""], "version: expected"),
        (["--version", "a\u202eb"], "version: expected"),
        (["--author", "a\x1b[31m"], "author: expected"),
        (["--note", "a\nb"], "note: expected"),
        (["--note", "x" * 501], "note: expected"),
        (["--at", "2999-01-01"], "future"),
        (["--at", "1960-01-01"], "before 1970"),
        (["--at", "yesterday"], "is no time"),
        (["--environment", "prod"], "no environment 'prod'; there is production"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(tmp_path: Path, arguments: list[str], why: str) -> None:
    monitoringconfig.write(tmp_path)
    done = deploy(tmp_path, *arguments)
    assert done.exit_code == 2
    assert why in done.output
    assert not (tmp_path / "deployments.jsonl").exists()


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    assert journal.checked(deployment(NOW + 59), NOW)
    with pytest.raises(OutOfRangeError, match="future"):
        journal.checked(deployment(NOW + 61), NOW)


def test_a_line_that_a_crash_cut_off_is_closed_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"at":"2026-01-01T00:00:00Z","serv')
    journal.append(path, deployment())
    assert journal.read(path) == journal.Journal((deployment(),), 1)


def test_a_broken_journal_breaks_no_scrape(tmp_path: Path) -> None:
    (tmp_path / "deployments.jsonl").mkdir()
    metrics = exposed(tmp_path)
    assert "monitoring_deploy_journal_broken_lines NaN" in metrics
    assert "oncall_alerts_firing 0.0" in metrics
    with pytest.raises(CannotWriteError):
        journal.append(tmp_path / "deployments.jsonl", deployment())


def test_a_scrape_reads_the_tail_only(tmp_path: Path) -> None:
    """Whatever the tail's length, every line that lies in it whole is read and no other."""
    path = tmp_path / "journal"
    for n in range(20):
        journal.append(path, deployment(NOW + n, version=f"v{n}"))
    line = path.stat().st_size // 20
    for tail in range(line * 3 + 20):
        versions = [one.version for one in journal.read(path, tail).deployments]
        assert journal.read(path, tail).broken_lines == 0
        assert versions == [f"v{n}" for n in range(20)][20 - len(versions) :]
        assert len(versions) <= tail // (line - 2)


def _append_many(path: Path, author: str) -> None:
    for n in range(50):
        journal.append(path, deployment(NOW + n, author=author, note="x" * 400))


def test_writers_at_the_same_time_lose_and_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    writers = [multiprocessing.Process(target=_append_many, args=(path, name)) for name in ("a", "b", "c", "d")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = journal.read(path, None)
    assert (len(found.deployments), found.broken_lines) == (200, 0)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    assert journal.parse(content).deployments == ()


def test_the_last_of_each_service_and_environment() -> None:
    first, later = deployment(NOW, version="v1"), deployment(NOW, version="v2")
    staging = deployment(NOW - 5, environment="staging")
    assert journal.last([staging, first, later]) == (later, staging)


def test_a_missing_journal_has_no_deploys(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "none") == journal.Journal((), 0)
    assert "monitoring_deploy_timestamp_seconds{" not in exposed(tmp_path)
