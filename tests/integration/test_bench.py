"""The benchmarks run: each at a size that proves nothing but that it works, and yields its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.bench import handshake, load100k
from deploy.bench.__main__ import BENCHMARKS
from deploy.bench.report import beside, digits, percentile, table
from tests.support.repository import ROOT

FIGURES = {
    "memory": {"resident memory a connection"},
    "delivery": {"hub"},
    "metrics-cost": {"one conversation of 20", "10 conversations of 2"},
    "yield": {"p50, large fan-out does not yield", "p95, large fan-out does not yield"},
    "connects": {"connects", "CPU of the node a connect", "first connects, logs sent"},
    "sends": {"deliveries in the same time", "send to ack, p95", "sends answered with an error"},
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_yields_its_figures(name: str, tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    command = [sys.executable, "-m", "deploy.bench", "--size", "20", "--json", str(output), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(output.read_text())[name]
    assert {figure["name"] for figure in figures} >= FIGURES[name]
    for figure in figures:
        value = figure["value"]
        assert value["low"] <= value["median"] <= value["high"]
        assert figure["name"] in done.stdout


def test_a_benchmark_that_breaks_fails_the_run() -> None:
    too_few = 'ulimit -n 60; exec "$0" -m deploy.bench --size 100 metrics-cost'
    command = ["sh", "-c", too_few, sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert "broken: metrics-cost" in done.stderr


def test_ratios_are_taken_round_by_round() -> None:
    figure = beside("ours", "µs", [2.0, 30.0, 4.0], "theirs", [1.0, 10.0, 4.0], "≤ 1.3", "1.1")
    assert figure.ratio is not None
    assert (figure.ratio.low, figure.ratio.median, figure.ratio.high) == (1.0, 2.0, 3.0)
    text = table("Title", [figure])
    assert "2 (1–3)" in text
    assert "≤ 1.3" in text


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.5) == 7
    assert [digits(n) for n in (1.0449, 13.27, 4321.9, 0)] == ["1.04", "13.3", "4,322", "0"]


def test_frames_are_parsed_whatever_is_cut_off() -> None:
    frames = b"\x81\x02hi" + b"\x81\x7e\x00\x80" + b"x" * 128
    whole = list(handshake.parse(frames))
    assert [(opcode, payload) for opcode, payload, _ in whole] == [(1, b"hi"), (1, b"x" * 128)]
    assert whole[-1][2] == len(frames)
    for cut in range(4, len(frames)):
        assert [payload for _, payload, _ in handshake.parse(frames[:cut])] == [b"hi"]


def test_the_big_run_refuses_a_machine_that_cannot_do_it() -> None:
    small = load100k.Machine(
        memory=10**12, disk=10**12, descriptors=1024, all_descriptors=10**7, cores=2, redis=True
    )  # fmt: skip
    missing = [need.what for need in load100k.needs(100_000, 6, small) if not need.met]
    assert missing == ["descriptors a process (ulimit -Hn)"]
    command = [sys.executable, "-m", "deploy.bench.load100k", "--connections", str(10**9)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("refused: ")
    assert "NOT ENOUGH" in done.stdout


def test_the_load_tool_is_told_every_node() -> None:
    command = load100k.load_command(["http://a", "http://b"], ["http://m"], Path("tokens"), 10, None)
    assert command[3:] == [
        "load", "--url", "http://a", "--url", "http://b", "--metrics-url", "http://m", "--tokens", "tokens",
        "--connections", "10", "--fresh",
        "--max-fanout-p95-ms", "250", "--max-loss", "0", "--max-error-rate", "0.01",
    ]  # fmt: skip
