"""What a scrape of a node gets: the text format of Prometheus, version 0.0.4.

prometheus_client's writer checks and escapes every label of every sample at every scrape, which holds the event
loop of a busy node for tens of milliseconds. Names, labels and bounds of the catalogue never change, so here
each line is prepared once and a scrape only fills in the numbers. A test holds the two to the same samples.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, generate_latest

from app.metrics import CATALOGUE, Child, Histogram, Metrics, ProcessMetrics, Spec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Lines = Callable[[], Iterator[str]]


class Exposition:
    """Renders one node's numbers, and those of its process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics: list[tuple[str, list[Lines]]] = [
            (_header(spec), [_lines(spec, labels, child) for labels, child in metrics.children(spec)])
            for spec in CATALOGUE
        ]
        self._process = CollectorRegistry()
        self._process.register(ProcessMetrics())
        GCCollector(registry=self._process)

    def render(self) -> bytes:
        """The whole page."""
        parts: list[str] = []
        for header, children in self._metrics:
            parts.append(header)
            for lines in children:
                parts += lines()
        return "".join(parts).encode() + generate_latest(self._process)

    def wsgi(self, _environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answers every request with the page, as a WSGI application."""
        page = self.render()
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(page)))])
        return [page]


def _header(spec: Spec) -> str:
    text = spec.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {spec.name} {text}\n# TYPE {spec.name} {spec.kind}\n"


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    # The values are ours and need no escaping: a test says so.
    inside = ",".join(f'{name}="{value}"' for name, value in pairs)
    return f"{{{inside}}}" if inside else ""


def _lines(spec: Spec, values: tuple[str, ...], child: Child) -> Lines:
    labels = list(zip(spec.labels, values, strict=True))
    if isinstance(child, Histogram):
        return _histogram_lines(spec.name, labels, child)
    start = f"{spec.name}{_labels(labels)} "
    return lambda: iter((f"{start}{float(child.current())!r}\n",))


def _histogram_lines(name: str, labels: list[tuple[str, str]], child: Histogram) -> Lines:
    bounds = [*map(repr, child.bounds), "+Inf"]
    starts = [f"{name}_bucket{_labels([*labels, ('le', bound)])} " for bound in bounds]
    total, count = f"{name}_sum{_labels(labels)} ", f"{name}_count{_labels(labels)} "

    def lines() -> Iterator[str]:
        running = 0
        for start, n in zip(starts, child.counts, strict=True):
            running += n
            yield f"{start}{float(running)!r}\n"
        yield f"{count}{float(running)!r}\n{total}{float(child.total)!r}\n"

    return lines
