"""A real Prometheus with a past: blocks made of text, rules, and a scrape target whose counters a test turns."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from deploy.stack.wait import answers
from tests.support.binaries import require
from tests.support.servers import eventually, free_port


def create_blocks(folder: Path, text: str) -> None:
    """Blocks in `folder` from OpenMetrics text without its end."""
    folder.mkdir(exist_ok=True)
    source = folder.with_suffix(".om")
    source.write_text(text + "# EOF\n")
    command = [require("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=744h"]
    subprocess.run([*command, "openmetrics", "-q", source, folder], check=True, capture_output=True)
    source.unlink()


@contextmanager
def running_prometheus(
    folder: Path, rule_files: Sequence[Path] = (), targets: Sequence[str] = (), retention: str = "35d", **web: Any
) -> Iterator[str]:
    """URL of a Prometheus that scrapes and evaluates each second; data lie in folder/data, `web` is its web config."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rule_files],
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": list(targets)}]}] if targets else [],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "web.yml").write_text(yaml.safe_dump(web))
    command = [
        require("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={retention}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        f"--web.config.file={folder / 'web.yml'}",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: process.poll() is not None or answers(f"{url}/-/ready") or web)
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=15)


class Shop:
    """Counts orders by the clock, `rate_per_s` of them; all fail while `broken`."""

    def __init__(self, rate_per_s: int) -> None:
        self.broken = False
        self._rate_per_s = rate_per_s
        self._counts = {"ok": 0.0, "failed": 0.0}
        self._last = time.time()
        self._lock = threading.Lock()

    def text(self) -> str:
        """Its metrics now."""
        with self._lock:
            now = time.time()
            self._counts["failed" if self.broken else "ok"] += (now - self._last) * self._rate_per_s
            self._last = now
            lines = [f'orders_total{{outcome="{outcome}"}} {count}' for outcome, count in self._counts.items()]
            return "\n".join(["# TYPE orders_total counter", *lines, ""])


@contextmanager
def running_shop(rate_per_s: int) -> Iterator[tuple[Shop, str]]:
    """The shop, and the target to scrape."""
    shop = Shop(rate_per_s)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = shop.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield shop, f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
