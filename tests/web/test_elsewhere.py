"""The same build on a static host: the page's head names the API, CORS_ORIGIN names the page."""

from __future__ import annotations

import functools
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.http.web import DIST, content_security_policy
from tests.support.servers import free_port, running_node
from tests.support.web import human

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the static host serves."""
    return tmp_path / "dist"


@pytest.fixture
def host(shared_database_url: str, tmp_path: Path, folder: Path) -> Iterator[str]:
    """Address of the page; the API is a node of another origin."""
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    with running_node(shared_database_url, tmp_path / "log", CORS_ORIGIN=page) as node:
        api = node.api.base_url
        shutil.copytree(DIST, folder)
        index = folder / "index.html"
        named = index.read_text().replace('name="messenger-api" content=""', f'name="messenger-api" content="{api}/"')
        assert api in named
        index.write_text(named)
        reach = f"{api} {api.replace('http', 'ws', 1)}"
        policy = content_security_policy(None).replace("connect-src 'self'", f"connect-src 'self' {reach}")
        policy = policy.replace("img-src 'self'", f"img-src 'self' {api}")

        class Static(SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                self.send_header("Content-Security-Policy", policy)
                super().end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Static, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield page
        finally:
            server.shutdown()
            server.server_close()


def test_people_talk_from_a_static_host(browser: Browser, host: str) -> None:
    with human(browser, host) as ann, human(browser, host) as bob:
        ann.register("ann")
        bob.register("bob")
        ann.begin(bob.name)
        ann.write("from afar")
        bob.open(ann.name)
        bob.sees("from afar")
        ann.is_marked("from afar", "Read")
        file = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"also from afar"}
        ann.page.locator("input[type=file]").set_input_files(file)
        with bob.page.expect_download() as saved:
            bob.page.get_by_role("button", name="notes.txt").click()
        assert Path(saved.value.path()).read_bytes() == b"also from afar"


def publish_another_build(folder: Path) -> None:
    """As a build of other sources would be: every script has another name, and the old ones are gone."""
    renamed = {}
    for script in (folder / "assets").glob("*.js"):
        name, _, rest = script.name.partition("-")
        renamed[script.name] = f"{name}-new{rest}"
        script.rename(script.with_name(renamed[script.name]))
    for file in [*(folder / "assets").glob("*.js"), folder / "index.html", folder / "sw.js"]:
        text = file.read_text()
        for old, new in renamed.items():
            text = text.replace(old, new)
        if file.name == "sw.js":
            text, count = re.subn(r'"revision":"\w+","url":"index.html"', '"revision":"new","url":"index.html"', text)
            assert count == 1
        file.write_text(text)


def test_an_update_takes_every_tab_along(browser: Browser, host: str, folder: Path) -> None:
    with human(browser, host) as ann, human(browser, host) as bob:
        bob.register("bob")
        ann.register("ann")
        ann.is_installed()
        first = ann.page
        ann.new_tab()
        ann.begin(bob.name)
        ann.page.get_by_placeholder("Write a message").fill("half a thought")
        publish_another_build(folder)
        first.evaluate("() => navigator.serviceWorker.ready.then((registration) => registration.update())")
        first.get_by_role("status").filter(has_text="A new version is here.").get_by_role("button").click()
        for tab in (first, ann.page):
            tab.locator("head script[src*='-new']").wait_for(state="attached")
        ann.is_in()
        assert ann.page.get_by_placeholder("Write a message").input_value() == "half a thought"
        ann.write("from the new version")
        bob.open(ann.name)
        bob.sees("from the new version")
