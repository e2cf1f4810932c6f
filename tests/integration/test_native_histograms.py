"""The SLI of a native histogram, asked of a real Prometheus: promtool's tests cannot read such histograms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pytest

from monitoring.maths.durations import Duration
from monitoring.rules import sli
from monitoring.spec.model import EventSli, Query, Slo
from monitoring.spec.reader import load
from tests.support import remotewrite, slospecs
from tests.support.prometheus import RunningPrometheus, running_prometheus
from tests.support.remotewrite import NativeHistogram

SCRAPE_S = 15
WINDOW = Duration(300)  # twenty scrapes; asked for at the moment of a scrape, so that nothing is extrapolated
FLAGS = ("--enable-feature=native-histograms", "--web.enable-remote-write-receiver")
FIRST = -2  # the bucket above 0.125, up to 0.25; the next is slow


@dataclass(frozen=True)
class Told:
    """A Prometheus that was told the story below, which began at `begin_s`."""

    prometheus: RunningPrometheus
    begin_s: int

    def ask(self, expr: str, scrape: int) -> float | None:
        """The one value without labels at a scrape; None when there is none."""
        found = self.prometheus.query(expr, self.begin_s + scrape * SCRAPE_S)
        assert [labels for labels, _ in found] in ([], [{}])
        return found[0][1] if found else None


STORY = [(9, 1)] * 40 + [(0, 0)] * 40 + [(2, 8)] * 40
"""Fast and slow events from one scrape to the next: a tenth slow, then none at all, then most of them slow."""

RESTART = 100
"""The scrape at which one of the two instances begins again at zero."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    begin_s = int(time.time()) - 3000
    with running_prometheus(tmp_path_factory.mktemp("native"), *FLAGS) as prometheus:
        series = [({"instance": name}, _scraped(begin_s, restart)) for name, restart in (("n1", None), ("n2", RESTART))]
        remotewrite.send(prometheus.url, "d_seconds", series)
        yield Told(prometheus, begin_s)


def _scraped(begin_s: int, restart: int | None) -> list[NativeHistogram]:
    fast, slow = (list(accumulate((step[i] for step in STORY), initial=100)) for i in (0, 1))
    if restart:
        fast, slow = ([*one[:restart], *(value - one[restart] for value in one[restart:])] for one in (fast, slow))
    times = ((begin_s + n * SCRAPE_S) * 1000 for n in range(len(STORY) + 1))
    return [NativeHistogram(at, FIRST, counts) for at, *counts in zip(times, fast, slow, strict=True)]


def latency(folder: Path, op: str) -> Slo:
    """Good, or bad with another `op`, is what lies within 250 ms."""
    ratio = slospecs.SLO[slospecs.SLO.index("      ratioMetric:") : slospecs.SLO.index("  timeWindow:")]
    threshold = (
        "      thresholdMetric:\n        metricSource:\n          type: Prometheus\n"
        "          spec:\n            query: d_seconds\n"
    )
    spec = (
        slospecs.changed(ratio, threshold)
        .replace("- target: 0.999", f"- target: 0.999\n      op: {op}\n      value: 0.25")
        .replace("monitoring/threshold-window: 2m", 'monitoring/native-histogram: "true"')
    )
    return load([slospecs.write(folder, slospecs.SERVICE, spec)])[0]


def part(slo: Slo) -> Query:
    """The query of what is within the bound."""
    assert isinstance(slo.sli, EventSli)
    within = slo.sli.good or slo.sli.bad
    assert within
    return within


@pytest.mark.parametrize(
    ("scrape", "total", "within"),
    [
        pytest.param(40, 400, 360, id="a tenth is slow"),
        pytest.param(50, 200, 180, id="half of the window is silent"),
        pytest.param(70, 0, None, id="no traffic, where a share would be NaN"),
        pytest.param(90, 200, 40, id="four fifths are slow"),
        pytest.param(115, 390, 78, id="an instance began again; the step to its first scrape is lost"),
    ],
)
def test_events_are_counted_exactly_at_a_bound_of_the_buckets(
    told: Told, tmp_path: Path, scrape: int, total: float, within: float | None
) -> None:
    slo = latency(tmp_path, "lte")
    assert isinstance(slo.sli, EventSli)
    assert told.ask(slo.sli.total.over(WINDOW), scrape) == pytest.approx(total)
    assert told.ask(part(slo).over(WINDOW), scrape) == (None if within is None else pytest.approx(within))
    ratio = None if within is None else pytest.approx(1 - within / total)
    assert told.ask(sli.ratio(slo, WINDOW), scrape) == ratio


def test_what_must_lie_above_the_bound_is_bad_below_it(told: Told, tmp_path: Path) -> None:
    assert told.ask(sli.ratio(latency(tmp_path, "gt"), WINDOW), 40) == pytest.approx(0.9)


def test_before_the_first_scrape_nothing_is_known(told: Told, tmp_path: Path) -> None:
    assert told.ask(sli.ratio(latency(tmp_path, "lte"), WINDOW), 0) is None
