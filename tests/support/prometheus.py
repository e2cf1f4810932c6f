"""A real Prometheus of the tests' own, on a free port and in a folder that goes away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from deploy.stack.wait import answers
from tests.support.binaries import require
from tests.support.servers import eventually, free_port


@dataclass(frozen=True)
class RunningPrometheus:
    """Where it answers."""

    url: str

    def query(self, expr: str, at_s: float) -> list[tuple[dict[str, str], float]]:
        """The instant vector of an expression at a time: labels and value of each series."""
        answer = requests.post(f"{self.url}/api/v1/query", data={"query": expr, "time": at_s}, timeout=10).json()
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]


@contextmanager
def running_prometheus(
    folder: Path, *arguments: str, configuration: str = "global: {}\n"
) -> Iterator[RunningPrometheus]:
    """Started on `folder`/data with the configuration; killed at the end."""
    config, port = folder / "prometheus.yml", free_port()
    config.write_text(configuration)
    flags = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([require("prometheus"), *flags, *arguments], stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: process.poll() is not None or answers(f"{url}/-/ready"))
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            yield RunningPrometheus(url)
        finally:
            process.kill()
            process.wait()
