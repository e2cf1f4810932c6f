"""What becomes of runs: each is counted once, as ok, failed or a fault of the prober's own, at its deadline at last."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from monitoring.probes.failures import Deadline, own_fault, reason
from monitoring.probes.kinds import Probe
from monitoring.probes.metrics import ProbeMetrics
from monitoring.probes.runner import STARVED_S

log = logging.getLogger("probe")


@dataclass(frozen=True, slots=True)
class _Run:
    kind: str
    began: float
    deadline: Deadline


class Judge:
    """Runs probes, and counts how they end."""

    def __init__(
        self, metrics: ProbeMetrics, stalled_s: Callable[[float, float], float] = lambda _since, _until: 0.0
    ) -> None:
        """`stalled_s(since, until)`: for how long between two moments the prober itself did not run."""
        self._metrics, self._stalled_s = metrics, stalled_s
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._under_way: dict[int, _Run] = {}

    def run(self, kind: str, probe: Probe, deadline: Deadline, lost: Callable[[], None]) -> None:
        """Run a probe once and count how it ended, unless `overdue` has.

        `lost` is called when the messenger knew nobody of that name or token: they must sign in anew.
        """
        run = _Run(kind, time.time(), deadline)
        number = next(self._numbers)
        with self._lock:
            self._under_way[number] = run
        try:
            took_s = probe.run(deadline)
            deadline.left_s()  # what came after it does not count
        except Exception as error:  # noqa: BLE001  what is not the messenger's doing is counted as a mistake here
            self._failed(number, run, error, lost)
        else:
            if self._ends(number):
                self._metrics.went_well(kind, took_s)

    def overdue(self, now: float) -> None:
        """Count those whose deadline has passed, however long they still hang; `now` in Unix seconds."""
        with self._lock:
            late = [number for number, run in self._under_way.items() if run.deadline.at < now]
            runs = [self._under_way.pop(number) for number in late]
        for run in runs:
            self._count(run, "timeout", now)

    def _failed(self, number: int, run: _Run, error: Exception, lost: Callable[[], None]) -> None:
        if not self._ends(number):
            return
        if fault := own_fault(error):
            self._metrics.own_fault(run.kind, fault)
            log.warning("probe %s says nothing (%s)", run.kind, fault, exc_info=error if fault == "bug" else None)
            return
        why = reason(error)
        log.info("probe %s failed (%s): %s", run.kind, why, type(error).__name__)
        self._count(run, why, time.time())
        if why == "auth":
            lost()

    def _count(self, run: _Run, why: str, now: float) -> None:
        if self._stalled_s(run.began, now) > STARVED_S:
            self._metrics.own_fault(run.kind, "starved")
        else:
            self._metrics.failed(run.kind, why)

    def _ends(self, number: int) -> bool:
        with self._lock:
            return self._under_way.pop(number, None) is not None
