"""Real servers for the tests: PostgreSQL for the whole run, a fresh database for each test that asks."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import config, migrations
from deploy.stack import database
from tests.support.browser import browser as browser
from tests.support.sql import execute

os.environ.setdefault("GOGC", "400")  # promtool lives for a second: let it collect its garbage less often

LONGEST_FIRST = (
    "test_cluster.py", "test_openapi.py", "test_own_devices.py", "test_talking.py",
    "test_limits.py", "test_load.py", "test_devices.py", "test_nodes.py", "test_proofs.py", "test_workers.py",
    "test_bench.py", "test_bus.py", "test_node.py", "test_history.py", "test_rule_kinds.py", "test_clients.py",
    "test_database.py", "test_redis.py", "test_preview.py", "test_read_sync.py", "test_oracle.py",
)  # fmt: skip
"""Files of more than 25 s, so that none of them is what everybody waits for at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the longest files out first; the order within a file stays."""
    place = {name: i for i, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server's maintenance database, with a migrated database called `template`."""
    folder = Path(tempfile.mkdtemp(prefix="messenger-tests-"))
    folder.chmod(0o755)  # the server runs as a user of its own when the tests run as root
    server = database.start(folder / "postgres")
    try:
        url = server.get_uri()
        execute(url, "CREATE DATABASE template")
        migrations.up(config.load({"DATABASE_URL": _in(url, "template")}))
        yield url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """URL of a fresh database with the current schema."""
    yield from _database(postgres, "template")


@pytest.fixture(scope="module")
def shared_database_url(postgres: str) -> Iterator[str]:
    """URL of a database with the current schema, for all tests of a file."""
    yield from _database(postgres, "template")


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """URL of a fresh database without any schema."""
    yield from _database(postgres, "template1")


def _database(postgres: str, template: str) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex[:12]}"
    execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _in(postgres, name)
    execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def _in(url: str, name: str) -> str:
    return url.replace("/postgres?", f"/{name}?")
