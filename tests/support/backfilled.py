"""A real Prometheus over samples that were never scraped."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from monitoring.oracle.samples import Series
from tests.support.binaries import require
from tests.support.prometheus import running_prometheus
from tests.support.stories import Track


@contextmanager
def backfilled(series: Sequence[Series]) -> Iterator[Callable[[str, int], float | None]]:
    """A real Prometheus on blocks made of these samples: a function of (query, moment in ms)."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{_labelled(one)} {value!r} {at / 1000:.3f}" for one in series for at, value in one.samples]
        (folder / "samples.txt").write_text("\n".join([*lines, "# EOF\n"]))
        made = [require("promtool"), "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"]
        subprocess.run(made, cwd=folder, check=True, capture_output=True)
        with running_prometheus(folder) as prometheus:
            yield lambda query, at_ms: _only(prometheus.query(query, at_ms / 1000))


def _only(found: list[tuple[dict[str, str], float]]) -> float | None:
    assert [labels for labels, _ in found] in ([], [{}])
    return found[0][1] if found else None


def _labelled(series: Series) -> str:
    return str(Track(series.name, dict(series.labels), ()))
