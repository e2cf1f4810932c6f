"""The schedule of the probes: open loop, bounded, and honest about what it could not do.

A run starts at its beat whatever became of the one before (a schedule that waits for answers stops asking just when
the messenger is slow: coordinated omission). Of each probe only so many are under way as its timeout needs; a beat
beyond that is counted as skipped. A run that starts too late says nothing of the messenger, and is the prober's fault.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from monitoring.probes.beats import Beats, BeatTrigger
from monitoring.probes.metrics import ProbeMetrics

THREADS = 64
MOST_AT_ONCE = 8
"""Runs of one probe; a shorter interval than an eighth of the timeout leaves beats out while the messenger hangs."""
STARVED_S = 0.25
"""A run that starts later than this could not be in time however fast the messenger is."""
FIRST_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One probe and when it runs. `start(intended)` counts what becomes of it; `kind` is its name in metrics."""

    kind: str
    every_s: float
    timeout_s: float
    start: Callable[[float], None] = field(compare=False)


class Runner:
    """Probes by a name of their own; may be changed while it runs."""

    def __init__(self, metrics: ProbeMetrics, jitter: float, seed: str) -> None:
        """`seed`: what makes this prober's beats differ from another's."""
        self._metrics, self._jitter, self._seed = metrics, jitter, seed
        self._planned: dict[str, Planned] = {}
        self.scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(THREADS)}, timezone=UTC)
        self.scheduler.add_listener(self._missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def plan(self, wanted: dict[str, Planned]) -> None:
        """Run these from now on, and no others. What has not changed goes on undisturbed."""
        for name in [name for name, planned in self._planned.items() if wanted.get(name) != planned]:
            del self._planned[name]
            self.scheduler.remove_job(name)
        for name, planned in wanted.items():
            if name not in self._planned:
                self._planned[name] = planned
                self._add(name, planned)

    def _add(self, name: str, planned: Planned) -> None:
        beats = Beats(time.time() + FIRST_AFTER_S, planned.every_s, self._jitter, f"{self._seed} {name}")

        def start() -> None:
            now = time.time()
            self._metrics.heartbeat.set(now)
            intended = beats.last(now)
            self._metrics.start_delay.observe(max(0.0, now - intended))
            if now - intended > STARVED_S:
                self._metrics.own_fault(planned.kind, "starved")
            else:
                planned.start(intended)

        self.scheduler.add_job(
            start,
            BeatTrigger(beats),
            id=name,
            max_instances=min(MOST_AT_ONCE, math.ceil(planned.timeout_s / planned.every_s) + 1),
            misfire_grace_time=max(1, int(planned.every_s)),
            coalesce=False,
        )

    def _missed(self, event: Any) -> None:
        if planned := self._planned.get(event.job_id):
            self._metrics.skipped(planned.kind)
