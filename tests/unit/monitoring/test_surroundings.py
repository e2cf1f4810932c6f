"""nginx and the exporters of `make run`: real nginx takes its configuration, and no command line shows a secret."""

from __future__ import annotations

import doctest
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.stack import surroundings
from deploy.stack.settings import Settings, load, require


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = replace(load({}), folder=tmp_path)
    made.logs.mkdir()
    return made


def test_nginx_takes_the_configuration(settings: Settings) -> None:
    surroundings.write_nginx(settings)
    conf = settings.folder / "nginx" / "nginx.conf"
    command = [require("nginx", "nginx"), "-t", "-c", str(conf), "-p", str(settings.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


def test_everything_listens_on_loopback_and_no_command_line_has_a_secret(settings: Settings) -> None:
    made = surroundings.commands(settings, "postgresql://app:s3cret@db.test/app", "redis://:s3cret@redis.test:6379/0")
    assert set(made) == {"nginx", "postgres-exporter", "redis-exporter", "nginx-exporter", "host-exporter"}
    for name, (command, _env) in made.items():
        assert "s3cret" not in " ".join(command)
        assert name == "nginx" or any("listen-address=127.0.0.1:" in part for part in command)
    surroundings.write_nginx(settings)
    listens = [
        line.split()[1] for line in (settings.folder / "nginx/nginx.conf").read_text().splitlines() if "listen " in line
    ]
    assert all(one.startswith("127.0.0.1:") for one in listens)


def test_without_redis_there_is_no_exporter_of_it(settings: Settings) -> None:
    assert "redis-exporter" not in surroundings.commands(settings, "postgresql:///app", "")


def test_the_examples_hold() -> None:
    result = doctest.testmod(surroundings)
    assert result.attempted == 2
    assert result.failed == 0
