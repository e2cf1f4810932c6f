"""The canary ledger: each canary ends once, and every broken promise is counted."""

from __future__ import annotations

import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from monitoring.client.http import ask
from monitoring.errors import ConfigError
from monitoring.probes import accounts
from monitoring.probes.beats import Beats
from monitoring.probes.failures import Deadline
from monitoring.probes.judging import Judge
from monitoring.probes.ledger import FINAL_AFTER_S, LATE_AFTER_S, REMEMBERED, Ledger
from monitoring.probes.metrics import CATALOGUE, OUTCOMES, ProbeMetrics
from monitoring.probes.pulse import LATE_S, Pulse

T0 = 1_000_000.0


def outcomes(ends: object) -> list[str]:
    return [end.outcome for end in ends]  # type: ignore[attr-defined]


def sent(*numbers: int) -> Ledger:
    ledger = Ledger()
    for number in numbers:
        ledger.sent(f"c{number}", number, f"body {number}", T0 + number)
        ledger.acknowledged(f"c{number}")
    return ledger


@pytest.mark.parametrize(
    ("after_s", "outcome"), [(0.0, "delivered"), (LATE_AFTER_S, "delivered"), (0.26, "late"), (FINAL_AFTER_S, "late")]
)
def test_in_time_or_late(after_s: float, outcome: str) -> None:
    (end,) = sent(0).arrived("c0", "body 0", T0 + after_s)
    assert end.outcome == outcome
    assert end.latency_s == pytest.approx(after_s)


def test_what_was_promised_and_did_not_come_is_lost() -> None:
    ledger = sent(1)
    assert outcomes(ledger.settle(T0 + 1 + FINAL_AFTER_S)) == []
    assert outcomes(ledger.settle(T0 + 1 + FINAL_AFTER_S + 0.1)) == ["lost"]
    assert outcomes(ledger.settle(T0 + 100)) == []
    assert outcomes(ledger.arrived("c1", "body 1", T0 + 101)) == [], "too late to undo the loss"


def test_what_comes_after_the_deadline_but_before_it_was_settled_is_lost_once() -> None:
    ledger = sent(1)
    assert outcomes(ledger.arrived("c1", "body 1", T0 + 1 + FINAL_AFTER_S + 0.1)) == []
    assert outcomes(ledger.settle(T0 + 1 + FINAL_AFTER_S + 0.2)) == ["lost"]
    assert outcomes(ledger.settle(T0 + 100)) == []


def test_what_was_never_acknowledged_is_no_loss() -> None:
    ledger = Ledger()
    ledger.sent("c", 1, "body", T0)
    assert outcomes(ledger.settle(T0 + FINAL_AFTER_S + 1)) == ["send_failed"]
    ledger.sent("d", 2, "body", T0)
    assert outcomes(ledger.failed("d")) == ["send_failed"]
    ledger.sent("e", 3, "body", T0)
    assert outcomes(ledger.settle(T0 + FINAL_AFTER_S + 1)) == ["send_failed"]
    assert outcomes(ledger.failed("e")) == [], "it had its end"
    assert outcomes(ledger.settle(T0 + FINAL_AFTER_S + 1)) == []


def test_broken_promises_beside_the_end() -> None:
    ledger = sent(1, 2, 3)
    assert outcomes(ledger.arrived("c2", "body 2", T0 + 2)) == ["delivered"]
    assert outcomes(ledger.arrived("c2", "body 2", T0 + 2)) == ["duplicate"]
    assert outcomes(ledger.arrived("c1", "body 1", T0 + 2)) == ["reordered", "late"]
    assert outcomes(ledger.arrived("c3", "altered", T0 + 3)) == ["corrupted", "delivered"]
    assert outcomes(ledger.arrived("of another run", "", T0 + 3)) == []


def test_a_prober_that_did_not_run_blames_itself_and_not_the_messenger() -> None:
    pulse = Pulse(T0)
    ledger = Ledger(pulse.stalled_s)
    for number in (1, 2, 3):
        ledger.sent(f"c{number}", number, "body", T0)
        ledger.acknowledged(f"c{number}")
    pulse.beat(T0 + 0.05)
    pulse.beat(T0 + 100.05)  # stopped for 100 s
    assert outcomes(ledger.settle(T0 + 100.1)) == [], "nothing could arrive"
    assert outcomes(ledger.arrived("c1", "body", T0 + 100.1)) == ["starved"]
    for n in range(7):
        pulse.beat(T0 + 100.1 + 0.05 * n)
    assert outcomes(ledger.arrived("c2", "body", T0 + 100.4)) == ["late"], "0.4 s of it were the messenger's"
    for n in range(600):
        pulse.beat(T0 + 100.4 + 0.05 * n)
    assert outcomes(ledger.settle(T0 + 130.0)) == []
    assert outcomes(ledger.settle(T0 + 130.1)) == ["lost"]


def test_a_stall_is_known_before_its_first_beat_and_a_busy_moment_is_none() -> None:
    pulse = Pulse(T0)
    assert pulse.stalled_s(T0, T0 + 5) == pytest.approx(5)
    pulse.beat(T0 + 5)
    pulse.beat(T0 + 5 + LATE_S / 2)
    assert pulse.stalled_s(T0 + 4, T0 + 5 + LATE_S / 2) == pytest.approx(1)
    assert pulse.stalled_s(T0 + 5, T0 + 5 + LATE_S / 2) == 0


class Hanging:
    """A run that ends when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def run(self, deadline: Deadline) -> float:  # noqa: ARG002  it does not heed it
        self.go.wait(20)
        return 1.0


@pytest.mark.parametrize("stalled_s", [0.0, 5.0])
def test_a_run_is_counted_at_its_deadline_however_long_it_hangs(stalled_s: float) -> None:
    metrics, probe, deadline = ProbeMetrics(), Hanging(), Deadline(time.time() + 1000)
    judge = Judge(metrics, lambda _since, _until: stalled_s)
    thread = threading.Thread(target=judge.run, args=("health", probe, deadline, lambda: None))
    thread.start()
    judge.overdue(deadline.at)
    counted = {"failed": 0.0, "starved": 0.0}

    def found() -> dict[str, float]:
        value = metrics.registry.get_sample_value
        return {
            "failed": value("messenger_probe_failures_total", {"probe": "health", "reason": "timeout"}),
            "starved": value("messenger_probe_own_faults_total", {"probe": "health", "reason": "starved"}),
        }  # type: ignore[return-value]

    assert found() == counted
    judge.overdue(deadline.at + 1)
    counted["starved" if stalled_s else "failed"] = 1.0
    assert found() == counted
    probe.go.set()
    thread.join()
    assert found() == counted, "what it came to later does not count"
    assert metrics.registry.get_sample_value("messenger_probe_runs_total", {"probe": "health", "outcome": "ok"}) == 0


def test_a_body_that_drips_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            conn, _ = server.accept()
            with conn, suppress(OSError):
                conn.recv(4096)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not over.wait(0.05):
                    conn.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(requests.Timeout):
                ask("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", 0.5)
        finally:
            over.set()
            thread.join()


@given(st.lists(st.sampled_from(["arrive", "arrive twice", "vanish", "no ack"]), min_size=1, max_size=60))
def test_every_canary_ends_exactly_once(fates: list[str]) -> None:
    ledger, ends = Ledger(), []
    for n, fate in enumerate(fates):
        ledger.sent(str(n), n, "b", T0 + n)
        if fate != "no ack":
            ledger.acknowledged(str(n))
        if fate.startswith("arrive"):
            ends += outcomes(ledger.arrived(str(n), "b", T0 + n))
        ends += outcomes(ledger.settle(T0 + n))
    ends += outcomes(ledger.settle(T0 + len(fates) + FINAL_AFTER_S + 1))
    assert len(ends) == len(fates)
    assert ends.count("lost") == fates.count("vanish")
    assert ends.count("send_failed") == fates.count("no ack")


def test_memory_is_bounded() -> None:
    ledger = Ledger()
    for n in range(REMEMBERED + 500):
        ledger.sent(str(n), n, "b", T0)
    list(ledger.settle(T0 + FINAL_AFTER_S + 1))
    assert len(ledger) == REMEMBERED


def test_latency_counts_from_the_schedule_not_from_the_start() -> None:
    beats = Beats(T0, 5)
    assert beats.last(T0 + 14.9) == T0 + 10
    assert beats.last(T0) == T0


@given(st.floats(0, 1e6), st.floats(0, 0.99), st.integers(1, 600))
def test_whoever_starts_at_a_beat_knows_which_it_was(later: float, jitter: float, every_s: int) -> None:
    beats = Beats(T0, every_s, jitter, "berlin canary")
    at = beats.next(T0 + later)
    assert at > T0 + later
    assert beats.last(at) == at
    assert beats.last(beats.next(at)) > at
    assert beats.next(at) - at <= every_s * (1 + jitter) + 1e-3


def test_the_catalogue_is_what_is_exposed_and_all_is_there_at_zero() -> None:
    exposed = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for family in ProbeMetrics(tls=True).registry.collect()
        for sample in family.samples
    }
    for outcome in OUTCOMES:
        assert exposed["messenger_probe_canaries_total", outcome] == 0
    for name, (kind, _) in CATALOGUE.items():
        assert (f"{name}_count" if kind == "histogram" else name) in {exposed_name for exposed_name, _ in exposed}


def test_probe_accounts_are_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    made = accounts.load_or_create(path)
    assert accounts.load_or_create(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text('{"sender": 1}')
    with pytest.raises(ConfigError, match=str(path)):
        accounts.load_or_create(path)
