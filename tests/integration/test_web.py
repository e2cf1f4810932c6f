"""The web client's files as a node serves them, and their build."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.http.web import DIST
from tests.support.binaries import require
from tests.support.repository import ROOT
from tests.support.servers import Node, running_node

WEB = ROOT / "app/web"
CDN = "https://cdn.example.com/media"


@pytest.fixture(scope="module")
def node(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    cors = {"CDN_URL": CDN, "CORS_ORIGIN": "https://chat.example.com"}
    with running_node(shared_database_url, tmp_path_factory.mktemp("web") / "log", **cors) as running:
        yield running


def fetch(node: Node, path: str, **headers: str) -> requests.Response:
    """As it comes over the wire: nothing is decoded."""
    with requests.get(
        f"{node.api.base_url}{path}", headers={"Accept-Encoding": "identity"} | headers, stream=True, timeout=10
    ) as got:
        got._content = got.raw.read(decode_content=False)
        return got


def assets() -> list[Path]:
    return [path for path in sorted((DIST / "assets").iterdir()) if path.suffix not in (".br", ".gz")]


def test_the_page_may_run_its_own_scripts_only(node: Node) -> None:
    page = fetch(node, "/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-cache"
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["style-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["connect-src"] == "'self' https://cdn.example.com"
    assert "unsafe-inline" not in str(policy)
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>" not in page.text and "style=" not in page.text


@pytest.mark.parametrize("coding", ["br", "gzip", "identity"])
def test_each_file_comes_in_the_form_that_the_browser_takes(node: Node, coding: str) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm"}
    assert {path.suffix for path in assets()} == set(types)
    for path in assets():
        got = fetch(node, f"/assets/{path.name}", **{"Accept-Encoding": coding})
        assert got.status_code == 200
        assert got.headers["Content-Type"].split(";")[0] == types[path.suffix]
        assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert got.headers["Vary"] == "Accept-Encoding"
        assert got.headers.get("Content-Encoding", "identity") == coding
        if coding == "identity":
            assert got.content == path.read_bytes()
        elif coding == "gzip":
            assert gzip.decompress(got.content) == path.read_bytes()
        else:
            assert len(got.content) < path.stat().st_size


def test_what_a_browser_has_is_not_sent_again(node: Node) -> None:
    for path in ("/", "/sw.js", f"/assets/{assets()[0].name}"):
        first = fetch(node, path)
        again = fetch(node, path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = fetch(node, path, **{"If-None-Match": first.headers["ETag"], "Accept-Encoding": "br"})
        assert other.status_code == 200, "another coding is another representation"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/..%2f..%2fconfig.py",
        "/assets/../../config.py",
        "/../app/config.py",
        "/assets/",
        "/assets/none.js",
        "/index.html.br",
    ],
)
def test_nothing_but_what_was_built_is_served(node: Node, path: str) -> None:
    got = fetch(node, path)
    assert got.status_code == 404
    assert got.json()["code"] == "not_found"


def test_a_page_elsewhere_may_use_the_api_when_its_origin_is_named(node: Node) -> None:
    """On a CDN or static host the page's head names this server; CORS_ORIGIN here names the page."""
    allowed = fetch(node, "/api/openapi.json", Origin="https://chat.example.com")
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://chat.example.com"
    refused = fetch(node, "/api/openapi.json", Origin="https://evil.example.com")
    assert "Access-Control-Allow-Origin" not in refused.headers


@pytest.mark.parametrize("script", ["check", "test"])
def test_its_own_checks_pass(script: str) -> None:
    done = subprocess.run(
        [require("npm"), "run", "--silent", script], cwd=WEB, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_is_named_by_its_content_and_the_worker_lists_all_it_needs() -> None:
    worker = (DIST / "sw.js").read_text()
    page = (DIST / "index.html").read_text()
    for path in assets():
        assert path.stem.rpartition("-")[2] and "-" in path.stem, path.name
        if path.suffix != ".wasm":  # megabytes: kept when they are first used
            assert path.name in worker
        for form in (".br", ".gz"):
            assert path.with_name(path.name + form).exists()
    entries = [name for name in worker.split('"') if name.startswith("assets/index-")]
    assert entries and all(name in page for name in entries)
