"""Migrations go up, down with data, and up again; production wants a fresh backup first."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import config, migrations, seeding
from app.errors import ConfigError
from tests.support.repository import ROOT
from tests.support.servers import node_environ
from tests.support.sql import rows


def tables(url: str) -> set[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%yoyo%'"
    return {name for (name,) in rows(url, query)}


def test_up_down_and_up_again_on_a_database_with_data(empty_database_url: str, tmp_path: Path) -> None:
    settings = config.load({"DATABASE_URL": empty_database_url})
    names = migrations.up(settings)
    assert names == sorted(names)
    assert migrations.up(settings) == []
    seeding.seed(settings, seeding.Plan(20, 2, 3, 3600), tmp_path / "tokens")
    full = tables(empty_database_url)

    assert migrations.down(settings, len(names)) == names[::-1]
    assert tables(empty_database_url) == set()
    assert migrations.up(settings) == names
    assert tables(empty_database_url) == full
    assert all(step.applied for step in migrations.status(settings))


def test_each_step_has_its_way_back_and_can_be_repeated(empty_database_url: str) -> None:
    settings = config.load({"DATABASE_URL": empty_database_url})
    names = migrations.up(settings)
    for count in range(1, len(names) + 1):
        assert migrations.down(settings, count) == names[::-1][:count]
        assert migrations.up(settings) == names[-count:]


def run(command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *command],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_demands_a_backup_younger_than_an_hour(empty_database_url: str, tmp_path: Path) -> None:
    environ = node_environ(
        empty_database_url,
        APP_ENV="production",
        REDIS_URL="redis://127.0.0.1:1/0",
        CORS_ORIGIN="https://chat.example.com",
        BACKUP_DIR=str(tmp_path),
    )
    refused = run(["migrate", "up"], environ)
    assert refused.returncode == 2
    assert "BACKUP_DIR" in refused.stderr
    assert tables(empty_database_url) == set()

    assert run(["migrate", "up", "--without-backup"], environ).returncode == 0
    assert run(["migrate", "down", "--count", "3"], environ).returncode == 2
    assert run(["migrate", "down", "--count", "3", "--without-backup"], environ).returncode == 0
    assert run(["migrate", "status"], environ).returncode == 1

    (tmp_path / "today.dump").write_bytes(b"PGDMP and more")
    assert run(["migrate", "up"], environ).returncode == 0
    assert run(["migrate", "status"], environ).returncode == 0


def test_a_backup_must_be_fresh_and_an_archive(tmp_path: Path) -> None:
    now = time.time()
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(ConfigError, match="no pg_dump archive"):
        migrations.require_fresh_backup(str(tmp_path), now)
    archive = tmp_path / "old.dump"
    archive.write_bytes(b"PGDMP")
    os.utime(archive, (now - 7200, now - 7200))
    with pytest.raises(ConfigError, match="120 minutes old"):
        migrations.require_fresh_backup(str(tmp_path), now)
    with pytest.raises(ConfigError, match="BACKUP_DIR"):
        migrations.require_fresh_backup(None, now)
    os.utime(archive, (now - 60, now - 60))
    migrations.require_fresh_backup(str(tmp_path), now)


def test_all_mistakes_of_the_environment_are_printed_and_the_status_is_2() -> None:
    environ = {k: v for k, v in node_environ("").items() if k not in ("DATABASE_URL", "JWT_SECRET")}
    environ |= {"APP_ENV": "production", "PORT": "x"}
    done = run(["serve"], environ)
    assert done.returncode == 2
    keys = [line.split(": ")[1] for line in done.stderr.splitlines()]
    assert keys == ["PORT", "DATABASE_URL", "REDIS_URL", "JWT_SECRET", "CORS_ORIGIN"]
