"""What a prober costs and how well it keeps its schedule: three nodes, canaries over all nine ways, one a second each.

540 canaries a minute beside one connect a second, in a process of its own as in production. The schedule's error is the
prober's own histogram of how much later than meant a run started; CPU and memory are the kernel's account.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.bench.node import bed, cpu_s, free_ports, redis, running
from deploy.bench.report import Figure, spread
from deploy.bench.size import Size
from deploy.stack.settings import PROJECT
from deploy.stack.wait import answers

TITLE = "A prober at 600 runs a minute, three nodes"
NODES = 3
WARM_UP_S = 10.0
MEASURED_ROUNDS = 4
READY_S = 30.0


def run(size: Size) -> list[Figure]:
    """Rounds of `phase_s` × MEASURED_ROUNDS seconds, after everybody was made ready."""
    with ExitStack() as stack:
        made = stack.enter_context(bed())
        url = stack.enter_context(redis(made))
        nodes = stack.enter_context(running(made, NODES, REDIS_URL=url, AUTH_ATTEMPTS_PER_MINUTE="100000"))
        urls = {f"node{n}": f"http://127.0.0.1:{node.port}" for n, node in enumerate(nodes)}
        prober, metrics = stack.enter_context(_prober(made.folder, urls))
        time.sleep(WARM_UP_S)
        rows = [_round(prober, metrics, size.phase_s * MEASURED_ROUNDS) for _ in range(max(2, size.passes))]
    names = (
        ("runs", "1/min"), ("mean start delay", "ms"), ("share started within 5 ms", "%"),
        ("skipped or own faults", "runs"), ("canaries not delivered in time", "runs"),
        ("CPU of one core", "%"), ("resident memory", "MB"),
    )  # fmt: skip
    return [
        Figure(name, unit, spread(values)) for (name, unit), values in zip(names, zip(*rows, strict=True), strict=True)
    ]


@contextmanager
def _prober(folder: Path, nodes: dict[str, str]) -> Iterator[tuple[psutil.Process, str]]:
    (port,) = free_ports(1)
    settings = folder / "probes.yaml"
    settings.write_text(
        yaml.safe_dump(
            {
                "name": "bench",
                "messenger": nodes["node0"],
                "nodes": nodes,
                "people": "people.json",
                "metrics": {"port": port},
                "journal": {"folder": "canaries"},
                "probes": {"canary": {"every": "1s"}, "connect": {"every": "1s"}},
            }
        )
    )
    url = f"http://127.0.0.1:{port}/metrics"
    process = subprocess.Popen([sys.executable, "-m", "monitoring", "probe", str(settings)], cwd=PROJECT)
    try:
        deadline = time.monotonic() + READY_S
        while not answers(url):
            if time.monotonic() > deadline:
                raise RuntimeError("the prober does not start")
            time.sleep(0.1)
        yield psutil.Process(process.pid), url
    finally:
        process.kill()
        process.wait()


def _round(prober: psutil.Process, url: str, seconds: float) -> list[float]:
    before, cpu, began = _counted(url), cpu_s(prober), time.monotonic()
    time.sleep(seconds)
    after, cpu_spent, took_s = _counted(url), cpu_s(prober) - cpu, time.monotonic() - began
    grown = {key: value - before.get(key, 0.0) for key, value in after.items()}
    runs = grown["started"] or 1.0
    return [
        grown["started"] / took_s * 60,
        grown["delay_s"] / runs * 1000,
        grown["within"] / runs * 100,
        grown["not run"],
        grown["not in time"],
        cpu_spent / took_s * 100,
        prober.memory_info().rss / 1e6,
    ]


def _counted(url: str) -> dict[str, float]:
    """What the rounds differ in."""
    found = dict.fromkeys(("started", "delay_s", "within", "not run", "not in time"), 0.0)
    delay = "messenger_probe_start_delay_seconds"
    for family in text_string_to_metric_families(requests.get(url, timeout=10).text):
        for one in family.samples:
            if one.name == f"{delay}_count":
                found["started"] += one.value
            elif one.name == f"{delay}_sum":
                found["delay_s"] += one.value
            elif one.name == f"{delay}_bucket" and one.labels["le"] == "0.005":
                found["within"] += one.value
            elif one.name in ("messenger_probe_skipped_total", "messenger_probe_own_faults_total"):
                found["not run"] += one.value
            elif one.name == "messenger_probe_canaries_total" and one.labels["outcome"] != "delivered":
                found["not in time"] += one.value
    return found
