"""The servers' own figures, scraped while the load runs."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

SCRAPE_EVERY_S = 5.0
_TIMEOUT_S = 5.0
_WANTED = ("process_resident_memory_bytes", "process_cpu_seconds_total", "ws_connections_active")


@dataclass
class Node:
    """What one node said of itself; CPU is of the traffic phase."""

    url: str
    memory_before_bytes: float | None = None
    memory_peak_bytes: float = 0.0
    connections_peak: float = 0.0
    cpu_from: tuple[float, float] | None = None  # (when, process_cpu_seconds_total)
    cpu_to: tuple[float, float] | None = None
    failed_scrapes: int = 0

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds during the traffic."""
        return self.cpu_to[1] - self.cpu_from[1] if self.cpu_from and self.cpu_to else None

    @property
    def cpu_share(self) -> float | None:
        """Of one core."""
        if not self.cpu_from or not self.cpu_to or self.cpu_to[0] <= self.cpu_from[0]:
            return None
        return (self.cpu_to[1] - self.cpu_from[1]) / (self.cpu_to[0] - self.cpu_from[0])


class Scraper:
    """Reads every node's /metrics every two seconds in a thread of its own."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.nodes = [Node(url) for url in urls]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)

    def start(self) -> None:
        """Read once, then go on until `stop`."""
        for node in self.nodes:
            values = self._scrape(node)
            node.memory_before_bytes = values.get("process_resident_memory_bytes")
        self._thread.start()

    def mark(self, *, begin: bool) -> None:
        """The traffic begins or ends now: what CPU is measured from or to."""
        for node in self.nodes:
            cpu = self._scrape(node).get("process_cpu_seconds_total")
            if cpu is not None:
                if begin:
                    node.cpu_from = time.monotonic(), cpu
                else:
                    node.cpu_to = time.monotonic(), cpu

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SCRAPE_EVERY_S):
            for node in self.nodes:
                self._scrape(node)

    def _scrape(self, node: Node) -> dict[str, float]:
        try:
            with urllib.request.urlopen(node.url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  the user's own URL
                values = parse(answer.read().decode())
        except (OSError, ValueError):
            node.failed_scrapes += 1
            return {}
        node.memory_peak_bytes = max(node.memory_peak_bytes, values.get("process_resident_memory_bytes", 0.0))
        node.connections_peak = max(node.connections_peak, values.get("ws_connections_active", 0.0))
        return values


def parse(text: str) -> dict[str, float]:
    """The three series of interest in a text exposition.

    >>> parse("# HELP x\\nws_connections_active 3.0\\nother 1\\n")
    {'ws_connections_active': 3.0}
    """
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name in _WANTED:
            found[name] = float(value)
    return found
