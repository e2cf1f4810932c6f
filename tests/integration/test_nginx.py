"""nginx with the project's template before servers of our own: what reaches them, and what is asked twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from deploy.cluster import certificate
from deploy.nginx import Site, render
from tests.support.binaries import require
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port


@dataclass
class Upstream:
    """A server in the place of a node, which answers `status` and remembers what it was asked."""

    status: int = 200
    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def upstream() -> Iterator[Upstream]:
    told = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}))
            self.send_response(told.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Proxy:
    url: str
    nodes: list[Upstream]

    def counts(self) -> list[int]:
        return [len(node.asked) for node in self.nodes]


def site(folder: Path, nodes: tuple[str, ...], plain: str, status: str) -> Site:
    certificate.ensure(folder / "certificate.pem", datetime.now(UTC))
    return Site(
        nodes=nodes, domain="localhost", certificate=str(folder / "certificate.pem"),
        key=str(folder / "certificate.key"), listen=(), plain=(plain,), status=status, user="root",
        pid=str(folder / "pid"), temporary=str(folder), cache=str(folder / "cache"),
        access_log=str(folder / "access"), error_log=str(folder / "error"), connections=100, descriptors=2_000,
    )  # fmt: skip


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    config = tmp_path / "nginx.conf"
    with ExitStack() as stack:
        nodes = [stack.enter_context(upstream()) for _ in range(3)]
        plain = f"127.0.0.1:{free_port()}"
        addresses = tuple(f"127.0.0.1:{node.port}" for node in nodes)
        config.write_text(render(site(tmp_path, addresses, plain, f"127.0.0.1:{free_port()}")))
        process = subprocess.Popen(
            [require("nginx"), "-c", config, "-p", tmp_path, "-e", tmp_path / "error", "-g", "daemon off;"]
        )
        try:
            eventually(lambda: accepts(f"http://{plain}/"))
            for node in nodes:
                node.asked.clear()
            yield Proxy(f"http://{plain}", nodes)
        finally:
            process.terminate()
            process.wait(timeout=20)


def accepts(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code > 0
    except requests.ConnectionError:
        return False


def test_a_clients_word_about_its_address_is_thrown_away(proxy: Proxy) -> None:
    lies = {"X-Forwarded-For": "8.8.8.8, 9.9.9.9", "Forwarded": "for=8.8.8.8", "X-Forwarded-Proto": "gopher"}
    requests.get(f"{proxy.url}/api/devices", headers=lies, timeout=5)
    (asked,) = [headers for node in proxy.nodes for _, headers in node.asked]
    assert (asked["x-forwarded-for"], asked["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert "forwarded" not in asked


def test_a_handshake_refused_with_503_is_tried_at_every_node_and_no_node_is_given_up(proxy: Proxy) -> None:
    for node in proxy.nodes:
        node.status = 503
    assert [requests.get(f"{proxy.url}/ws", timeout=5).status_code for _ in range(3)] == [503] * 3
    assert proxy.counts() == [3, 3, 3]
    proxy.nodes[1].status = 401
    assert requests.get(f"{proxy.url}/calls", timeout=5).status_code == 401


def test_what_a_node_may_have_begun_is_asked_of_no_other(proxy: Proxy) -> None:
    for node in proxy.nodes:
        node.status = 503
    assert requests.post(f"{proxy.url}/auth/login", json={}, timeout=5).status_code == 503
    assert sum(proxy.counts()) == 1
    # Nor are requests at a messenger whose database is away: all nodes say 503, and none is to blame.
    assert [requests.get(f"{proxy.url}/api/devices", timeout=5).status_code for _ in range(5)] == [503] * 5
    assert sum(proxy.counts()) == 6


def test_productions_file_is_one_that_nginx_takes(tmp_path: Path) -> None:
    """`nginx -t` on what the command writes, with eleven workers for 100,000 connections."""
    certificate.ensure(tmp_path / "certificate.pem", datetime.now(UTC))
    out = tmp_path / "nginx.conf"
    words = ["nginx", "--nodes", "127.0.0.1:3001,127.0.0.1:3002,127.0.0.1:3003", "--domain", "chat.example.com"]
    words += ["--certificate", str(tmp_path / "certificate.pem"), "--key", str(tmp_path / "certificate.key")]
    refused = subprocess.run(
        [sys.executable, "-m", "deploy.render", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "name 4 or more" in refused.stderr
    words += ["--ephemeral-ports", "50001", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "deploy.render", *words], cwd=ROOT, check=True, timeout=60)
    text = out.read_text()
    assert "worker_processes 11;" in text
    assert "return 308 https://chat.example.com$request_uri;" in text
    assert 'Strict-Transport-Security "max-age=31536000"' in text
    # Its folders are the machine's; what is tested is the file.
    for there in ("/run/nginx.pid", "/var/log/nginx/error.log", "/var/log/nginx/access.log", "/var/cache/nginx/media"):
        text = text.replace(there, str(tmp_path / Path(there).name))
    out.write_text(text.replace("/var/lib/nginx/", f"{tmp_path}/"))
    done = subprocess.run(
        [require("nginx"), "-t", "-c", out, "-p", tmp_path, "-e", tmp_path / "error"],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
