"""Real probers: their settings, their process, and what they count."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import running
from tests.support.servers import free_port


@dataclass(frozen=True)
class Probing:
    """A prober that runs; its settings may be rewritten."""

    settings: Path
    url: str
    pid: int = 0

    def counted(self, name: str, **labels: str) -> float:
        """The sum of a metric's series with these labels."""
        text = requests.get(self.url, timeout=5).text
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
        return sum(s.value for s in samples if labels.items() <= s.labels.items())


def write_settings(folder: Path, messenger: str, probes: dict[str, Any], **more: Any) -> Path:
    """probes.yaml in `folder`."""
    told = {"name": "here", "messenger": messenger, "people": "people.json", "metrics": {"port": free_port()}}
    path = folder / "probes.yaml"
    path.write_text(yaml.safe_dump(told | {"probes": probes} | more))
    return path


@contextmanager
def probing(settings: Path) -> Iterator[Probing]:
    """The prober that goes by these settings; it is killed at the end."""
    url = f"http://127.0.0.1:{yaml.safe_load(settings.read_text())['metrics']['port']}/metrics"
    log, command = settings.with_suffix(".log"), (sys.executable, "-m", "monitoring", "probe", str(settings))
    with running(log, url, *command) as pid:
        yield Probing(settings, url, pid)
