"""Two nodes for the tests of the web client, and browsers that look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.bench.web import filmed
from tests.support.servers import Node, eventually, running_node, running_redis

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def talking_browser(browser: Browser) -> Iterator[Browser]:
    """Chromium with a camera and a microphone that show and say something made up."""
    with filmed(browser) as running:
        yield running


@pytest.fixture(scope="module")
def nodes(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """Two nodes that hear each other over Redis."""
    folder: Path = tmp_path_factory.mktemp("web")
    with (
        running_redis(folder) as redis_url,
        running_node(shared_database_url, folder / "one.log", REDIS_URL=redis_url) as one,
        running_node(shared_database_url, folder / "two.log", REDIS_URL=redis_url) as two,
    ):
        eventually(lambda: [node.metric("messenger_bus_connected") for node in (one, two)] == [1, 1])
        yield one, two
