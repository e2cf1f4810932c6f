"""One fleet of nine nodes for all fault tests; each test repairs what it broke."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, running_fleet


@pytest.fixture(scope="package")
def whole_fleet() -> Iterator[Fleet]:
    """Nine nodes that run for all tests of this folder."""
    folder = Path(tempfile.mkdtemp(prefix="messenger-faults-"))
    folder.chmod(0o755)  # the database runs as a user of its own when the tests run as root
    try:
        with running_fleet(folder) as fleet:
            yield fleet
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fleet(whole_fleet: Fleet) -> Iterator[Fleet]:
    """The fleet, whole before and after."""
    if whole_fleet.repair():
        whole_fleet.wait_until_whole()
    yield whole_fleet
    whole_fleet.wait_until_whole()
