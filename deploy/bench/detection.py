"""`make detection`: predicted against observed detection, on the real stack, for every SLO of the messenger
but alert-pipeline: a drill takes as long as alerts take, however the windows are scaled.

The stack is that of `make run`, with ports and a folder of its own, on a scaled profile: every window is divided by
DIVISOR, burn factors and thresholds are those of production. Steady traffic runs all the while; when a window's worth
of healthy history is there, one fault after the other is put in, and Prometheus' own samples tell at which evaluation
each alert began to fire. Beside that stands what the mathematics predicts:

    detection = first bad event + max(θ·L / e, events that the guard asks for) + hold + one scrape + one evaluation

with the threshold θ = B·(1 − target), the long window L, and the share of bad events e as it was measured. The
scrape and the evaluation are the most they can cost, so the tolerance is their sum: an observation lies at or below
the prediction by at most that much. Nothing here is a test: a busy machine may miss the tolerance, and the table
then says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import psutil
import requests

from deploy.bench import children
from deploy.bench.node import free_ports
from deploy.bench.steady import Talk
from deploy.stack import prepare, settings
from monitoring import config as configuration
from monitoring.client.api import Api
from monitoring.maths.burn import error_budget, error_threshold, time_to_detect_s
from monitoring.maths.durations import Duration
from monitoring.rules import names
from monitoring.rules.profile import Profile
from monitoring.rules.tiers import burns
from monitoring.spec.model import Slo
from monitoring.spec.reader import load

DIVISOR = 30
SCRAPE_S = 1
PROBE_EVERY_S = 2.0
GROUP_WAIT_S = 1.0
LIMIT_S = 900.0
READY_S = 120.0
FIRES_WITHIN_S = 180.0
CLEAN_WITHIN_S = 240.0
CLEAN_SHARE = 0.05
"""Of the threshold: so little may be left in the long window of what an earlier fault did."""
LOOK_S = 0.25


@dataclass(frozen=True)
class Watch:
    """One alert that a fault must raise."""

    slo: str
    kind: str
    """The label `kind`: burnrate (its first tier is looked at) or threshold."""
    first_bad_s: float
    """From the fault until the first event is counted as bad."""
    every_s: float
    """Between two events, for the guard that asks for several bad ones."""


@dataclass(frozen=True)
class Fault:
    """What is broken on purpose, until every alert of `watches` fires."""

    words: str
    watches: tuple[Watch, ...]
    breaking: Callable[[Stack], None]
    mending: Callable[[Stack], None]


@dataclass(frozen=True)
class Observation:
    """One line of the table; times in seconds from the fault."""

    slo: str
    alert: str
    fault: str
    share: float
    predicted_s: float
    observed_s: float | None
    tolerance_s: float

    @property
    def verdict(self) -> str:
        """Whether the prediction held."""
        if self.observed_s is None:
            return "did not fire"
        return "as predicted" if abs(self.observed_s - self.predicted_s) <= self.tolerance_s else "OUTSIDE"


def predicted_s(slo: Slo, profile: Profile, watch: Watch, share: float) -> float | None:
    """Seconds from the fault to the evaluation at which the alert fires, at the latest; None when it never does.

    Assumes a healthy history as long as the long window, and the same traffic before and in the fault.
    """
    late_s = profile.scrape_interval + profile.evaluation_interval
    e, hold_s = Decimal(str(share)), 0
    if watch.kind == "threshold":
        assert slo.threshold_window  # noqa: S101  the watch says that there is one
        window, hold_s = profile.window(slo.threshold_window), profile.scrape_interval
        needed = time_to_detect_s(Decimal(1), slo.target, window, e)
    else:
        burn = burns(slo)[0]
        needed = time_to_detect_s(burn.factor, slo.target, profile.window(burn.long), e)
    if needed is None:
        return None
    return watch.first_bad_s + max(float(needed), slo.min_bad_events * watch.every_s) + hold_s + late_s


def table(observations: Sequence[Observation]) -> str:
    """The observations as a table of Markdown."""
    lines = [
        "| SLO | alert | fault | share bad | predicted | observed | difference | tolerance | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in observations:
        observed = "–" if one.observed_s is None else f"{one.observed_s:.1f} s"
        difference = "–" if one.observed_s is None else f"{one.observed_s - one.predicted_s:+.1f} s"
        lines.append(
            f"| `{one.slo}` | {one.alert} | {one.fault} | {one.share:.0%} | {one.predicted_s:.1f} s | {observed} | "
            f"{difference} | {one.tolerance_s:.0f} s | {one.verdict} |"
        )
    return "\n".join(lines)


# --- the stack ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """A running `make run` of our own."""

    process: psutil.Process
    ports: settings.Ports
    folder: Path

    @property
    def api(self) -> Api:
        """The messenger."""
        return Api(f"http://127.0.0.1:{self.ports.port}")

    def switch(self, **switches: Any) -> None:
        """Turn the fault switches of the node; none turns them off."""
        token = (self.folder / "secrets" / "admin-token").read_text()
        self.api.call("POST", "/test/faults", switches, token)

    def signal(self, signum: int, word: str) -> None:
        """Stop a process whose command begins with a program or module of that name, or let it go on."""
        for process in self.process.children(recursive=True):
            if any(word in part for part in process.cmdline()[:3]):
                process.send_signal(signum)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """An instant query to its Prometheus."""
        url = f"http://127.0.0.1:{self.ports.prometheus_port}/api/v1/query"
        answer = requests.get(url, params={"query": expr}, timeout=10).json()
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def value(self, expr: str) -> float | None:
        """The one value of a query; None when there is none."""
        rows = self.query(expr)
        return float(rows[0]["value"][1]) if rows else None

    def fired_at(self, alert: str, since: float) -> float | None:
        """The first evaluation after `since` (Unix seconds) at which an alert with these labels was firing."""
        rows = self.query(f'ALERTS{{alertstate="firing",{alert}}}[10m]')
        moments = [float(at) for row in rows for at, _ in row["values"] if float(at) > since]
        return min(moments, default=None)


@contextmanager
def running_stack(folder: Path, **more: str) -> Iterator[Stack]:
    """The stack, ready; everything it started ends with it. `more` is told to it. Raises StackError."""
    ports = settings.Ports(*free_ports(len(fields(settings.Ports))))
    clean = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    environ = clean | {field.name.upper(): str(getattr(ports, field.name)) for field in fields(ports)} | {
        "RUN_DIR": str(folder),
        "SCRAPE_INTERVAL": f"{SCRAPE_S}s",
        "WINDOW_DIVISOR": str(DIVISOR),
        "ALERTMANAGER_WAIT": f"{GROUP_WAIT_S:.0f}s",
        "PROBE_INTERVAL_S": str(PROBE_EVERY_S),
        # The demo people say next to nothing: they repeat what is refused, which is not steady traffic.
        "TRAFFIC_PER_S": "0.02",
        "ACCESS_TOKEN_TTL_S": "3600",
    } | more  # fmt: skip
    output = folder.parent / "output"
    with output.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "deploy.stack"], cwd=settings.PROJECT, env=environ, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_S
        while "stop it:" not in output.read_text():
            if child.poll() is not None or time.monotonic() > deadline:
                raise settings.StackError(f"the stack did not start:\n{output.read_text()}")
            time.sleep(LOOK_S)
        yield Stack(psutil.Process(child.pid), ports, folder)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)
            child.wait(30)


def profile_of(stack: Stack) -> Profile:
    """The scaled profile that the stack's rules were generated with."""
    return configuration.load(stack.folder / "monitoring.yaml", prepare.ENVIRONMENT).profile


# --- the faults --------------------------------------------------------------------------------------------------

SETTLED_S = 30.0
CANARY_LATE_S = 2.5


def _switch(**switches: Any) -> Callable[[Stack], None]:
    return lambda stack: stack.switch(**switches)


def faults(talk_per_s: float, reads_per_s: float) -> tuple[Fault, ...]:
    """In this order what one fault leaves behind is out of the windows of the next."""
    deliveries_per_s = 3 * talk_per_s
    off = _switch()
    return (
        Fault(
            "handshakes are refused with 503",
            (Watch("connects", "burnrate", 0.0, PROBE_EVERY_S),),
            _switch(refuse_connects=True), off,
        ),
        Fault(
            "fan-out stands still: nobody acknowledges",
            (Watch("delivery", "burnrate", SETTLED_S, 1 / deliveries_per_s),),
            _switch(fanout_stall=True), off,
        ),
        Fault(
            "sends are refused",
            (Watch("requests", "burnrate", 0.0, 1 / talk_per_s),),
            _switch(refuse_sends=True), off,
        ),
        Fault(
            "every delivery 2.5 s late",
            (
                Watch("fanout-latency", "threshold", 0.0, 1 / deliveries_per_s),
                Watch("probe", "burnrate", CANARY_LATE_S, PROBE_EVERY_S),
                Watch("read-sync", "burnrate", 0.0, 1 / reads_per_s),
                Watch("fanout-latency", "burnrate", 0.0, 1 / deliveries_per_s),
            ),
            _switch(fanout_delay_ms=2_500), off,
        ),
    )  # fmt: skip


# --- the run -----------------------------------------------------------------------------------------------------


class Run:
    """One stack, and what was seen on it."""

    def __init__(self, stack: Stack, slos: Mapping[str, Slo], say: Callable[[str], None]) -> None:
        self._stack = stack
        self._slos = slos
        self._profile = profile_of(stack)
        self._say = say

    def history(self) -> None:
        """Wait until the long window of every first tier is full of healthy traffic."""
        longest_s = max(self._profile.window(burns(slo)[0].long) for slo in self._slos.values())
        self._say(f"{longest_s} s of healthy history")
        time.sleep(longest_s + 4 * SCRAPE_S)

    def observe(self, fault: Fault) -> list[Observation]:
        """Put a fault in, see every alert of it fire, mend it."""
        for watch in fault.watches:
            self._wait_until_clean(watch)
        self._wait_for_a_canary()
        self._say(f"{fault.words}: {', '.join(watch.slo for watch in fault.watches)}")
        fault.breaking(self._stack)
        began = time.time()
        try:
            fired = self._wait_for(fault.watches, began)
            self._fill_short_windows(fault.watches, began)
            return [self._observation(fault, watch, at, began) for watch, at in zip(fault.watches, fired, strict=True)]
        finally:
            fault.mending(self._stack)

    def _observation(self, fault: Fault, watch: Watch, fired: float | None, began: float) -> Observation:
        slo = self._slos[watch.slo]
        share = self._stack.value(names.of(names.errors_ratio(self._short(slo)), slo.name)) or 0.0
        predicted = predicted_s(slo, self._profile, watch, share)
        tolerance_s = float(self._profile.scrape_interval + self._profile.evaluation_interval)
        observed = None if fired is None else fired - began
        tier = "threshold" if watch.kind == "threshold" else burns(slo)[0].name
        return Observation(slo.name, tier, fault.words, share, predicted or float("inf"), observed, tolerance_s)

    def _wait_for(self, watches: Sequence[Watch], began: float) -> list[float | None]:
        deadline = time.monotonic() + FIRES_WITHIN_S
        fired: dict[Watch, float | None] = dict.fromkeys(watches)
        while None in fired.values() and time.monotonic() < deadline:
            for watch in watches:
                fired[watch] = fired[watch] or self._stack.fired_at(self._alert(watch), began)
            time.sleep(LOOK_S)
        return list(fired.values())

    def _fill_short_windows(self, watches: Sequence[Watch], began: float) -> None:
        """The share is read from the short windows, which must hold nothing from before the fault."""
        until = began + max(watch.first_bad_s + self._short(self._slos[watch.slo]) for watch in watches) + 2 * SCRAPE_S
        time.sleep(max(0.0, until - time.time()))

    def _wait_until_clean(self, watch: Watch) -> None:
        slo, burn = self._slos[watch.slo], burns(self._slos[watch.slo])[0]
        limit = CLEAN_SHARE * float(error_threshold(burn.factor, slo.target))
        if watch.kind == "threshold":
            limit = CLEAN_SHARE * float(error_budget(slo.target))
        ratio = names.of(names.errors_ratio(self._long(slo)), slo.name)
        deadline = time.monotonic() + CLEAN_WITHIN_S
        while (self._stack.value(ratio) or 0.0) > limit or self._stack.query(
            f'ALERTS{{alertstate="firing",{self._alert(watch)}}}'
        ):
            if time.monotonic() > deadline:
                self._say(f"{slo.name} does not become clean; its prediction assumes that it is")
                return
            time.sleep(1)

    def _wait_for_a_canary(self) -> None:
        """Begin right after a beat of the probe, so that the next one is a whole interval away."""
        url = f"http://127.0.0.1:{self._stack.ports.probe_metrics_port}/metrics"

        def connects() -> str:
            text = requests.get(url, timeout=5).text
            return next(line for line in text.splitlines() if line.startswith("messenger_probe_connects_total"))

        before = connects()
        while connects() == before:
            time.sleep(0.02)

    def _alert(self, watch: Watch) -> str:
        tier = "" if watch.kind == "threshold" else f',tier="{burns(self._slos[watch.slo])[0].name}"'
        return f'slo_id="{watch.slo}",kind="{watch.kind}"{tier}'

    def _long(self, slo: Slo) -> Duration:
        return self._profile.window(burns(slo)[0].long)

    def _short(self, slo: Slo) -> Duration:
        return self._profile.window(burns(slo)[0].short)


@click.command()
@click.option("--only", multiple=True, help="SLOs to look at; all unless said.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the table there too.")
def main(only: tuple[str, ...], output: Path | None) -> None:
    """Break the real stack once for each SLO, and say when the alert came beside when it was due.

    Takes about ten minutes. Exit status 1 when an alert did not fire at all.
    """
    children.end_on_sigterm()
    children.end_after(LIMIT_S)
    slos = {slo.name: slo for slo in load([settings.PROJECT / "monitoring" / "slos"])}
    if unknown := set(only) - slos.keys():
        raise click.BadParameter(f"there is no SLO {', '.join(sorted(unknown))}", param_hint="--only")
    started = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {words}", file=sys.stderr, flush=True)

    observations: list[Observation] = []
    with tempfile.TemporaryDirectory(prefix="messenger-detection-") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        with running_stack(Path(name) / "run") as stack, Talk(stack.api) as talk:
            run = Run(stack, slos, say)
            run.history()
            for fault in faults(talk.sends_per_s, talk.reads_per_s):
                if not only or {watch.slo for watch in fault.watches} & set(only):
                    observations += run.observe(fault)
    text = table(observations)
    print(text)
    if output:
        output.write_text(text + "\n")
    if any(one.observed_s is None for one in observations):
        sys.exit(1)


if __name__ == "__main__":
    main()
