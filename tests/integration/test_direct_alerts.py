"""The messenger's direct alerts, each proven by promtool: silent before its fault, firing in it, silent after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from monitoring.promql import Matcher, Selector
from monitoring.rules.platform import MESSENGER, messenger
from tests.support.proofs import PROFILE, SCRAPE_S, Expected, counter, firing, prove

DAY_S = 86_400
SHORT_HOLD, LONG_HOLD = 2, 3
"""In scrapes, on the scale of the proofs: 30 s and one minute, divided by four."""
WINDOW = 15
"""Scrapes in five minutes on that scale."""
FAULT, END, LAST = 40, 80, 130
"""Scrapes: when a fault begins and ends, and how long is looked."""


def node(name: str, **labels: str) -> str:
    return _series(name, "secure-messenger", "n1", labels)


def probe(name: str, **labels: str) -> str:
    return _series(name, "messenger-probe", "p1", labels)


def elsewhere(series: str) -> str:
    """The same of another prober."""
    return series.replace('instance="p1"', 'instance="p2"')


def _series(name: str, job: str, instance: str, labels: Mapping[str, str]) -> str:
    every = {"job": job, "instance": instance} | labels
    matchers = (Matcher(label, "=", value) for label, value in every.items())
    return str(Selector(name, tuple(matchers)))


def level(well: float, ill: float) -> str:
    """A gauge that is ill during the fault."""
    return " ".join([*[f"{well:g}"] * FAULT, *[f"{ill:g}"] * (END - FAULT), *[f"{well:g}"] * (LAST - END)])


def pace(well: float, ill: float) -> str:
    """A counter and how much it grows between two scrapes, well and during the fault."""
    return counter((FAULT - 1, well), (END - FAULT, ill), (LAST - END, well))


RECOVERED = node("messenger_fanout_recovered_total", path="message")
RELAYED = node("messenger_fanout_stage_seconds_count", path="message", stage="relay")
COMMITTED = node("messenger_send_batch_rows_sum")
BUS = node("messenger_bus_connected")
SKEW = node("messenger_fanout_clock_skew_total")
SLOW = node("messenger_ws_closes_total", code="4008")
SPARE = node("messenger_keys_claimed_total", key="fallback")
CLAIMED = node("messenger_keys_claimed_total", key="one_time")
ACCEPTED = node("messenger_ws_connects_total", result="accepted")
CONNECTIONS = node("ws_connections_active")
LOG_LAG = node("messenger_log_lag_seconds")
DATABASE = node("messenger_database_connected")
HEARTBEAT = probe("messenger_probe_heartbeat_timestamp_seconds")
EXPIRY = probe("messenger_probe_certificate_expiry_timestamp_seconds")
OPEN, ALLOWED = node("process_open_fds"), node("process_max_fds")
LATE = probe("messenger_probe_canaries_total", outcome="late")
LOST = probe("messenger_probe_canaries_total", outcome="lost")
RUNS_WELL = probe("messenger_probe_runs_total", probe="link", outcome="ok")
RUNS_ILL = probe("messenger_probe_runs_total", probe="link", outcome="failed")


def loop(well: float, ill: float) -> dict[str, str]:
    """The loop's lag: 980 turns a scrape up to 0.1 s, and later ones on top, well and during the fault."""
    quick, later = pace(980, 980), pace(980 + well, 980 + ill)
    bucket = "messenger_loop_lag_seconds_bucket"
    return {node(bucket, le="0.1"): quick, node(bucket, le="0.5"): later, node(bucket, le="+Inf"): later}


def ever(alert: str, within_s: int) -> str:
    """1 when it fired at any evaluation of that time, else 0."""
    return f"max_over_time(({firing(alert)})[{within_s - SCRAPE_S}s:{SCRAPE_S}s])"


def always(alert: str, within_s: int) -> str:
    """1 when it fired at every evaluation of that time, else 0."""
    return f"min_over_time(({firing(alert)})[{within_s - SCRAPE_S}s:{SCRAPE_S}s])"


CASES: dict[str, tuple[dict[str, str], int, int]] = {
    # alert: (series, scrapes from the fault until it fires, scrapes from its end until it is silent)
    "NodeDown": ({node("up"): level(1, 0)}, SHORT_HOLD, 0),
    "DatabaseDisconnected": ({DATABASE: level(1, 0)}, SHORT_HOLD, 0),
    "LogLag": ({LOG_LAG: level(0.1, 10.1), DATABASE: level(1, 1)}, SHORT_HOLD, 0),
    "DatabasePoolExhausted": ({node("messenger_database_pool_waiting"): level(0, 3)}, LONG_HOLD, 0),
    "BackupStale": ({node("messenger_backup_timestamp_seconds"): level(-3_600, -26 * 3_600)}, 0, 0),
    "BusDisconnected": ({BUS: level(1, 0)}, SHORT_HOLD, 0),
    # Two of a hundred are lost: one in a hundred of the window's 1,500 is 15, the eighth loss is the sixteenth.
    "BusLosses": (
        {RECOVERED: pace(0, 2), RELAYED: pace(50, 48), COMMITTED: pace(50, 50), BUS: level(1, 1)}, 7, WINDOW - 8,
    ),
    "ClockSkew": ({SKEW: pace(0, 4), RELAYED: pace(20, 20)}, 7, WINDOW - 8),
    # The quantile goes through 0.25 s, inside the bucket from 0.1 to 0.5, with the twelfth scrape of 2 % late turns.
    "LoopLag": (loop(0, 20), 11 + LONG_HOLD, WINDOW - 12),
    "DescriptorsLow": ({OPEN: level(80, 81), ALLOWED: level(100, 100)}, LONG_HOLD, 0),
    "DescriptorsExhausted": ({OPEN: level(95, 96), ALLOWED: level(100, 100)}, SHORT_HOLD, 0),
    "SlowConsumers": ({SLOW: pace(0, 3), CONNECTIONS: level(1000, 1000)}, 3, WINDOW - 4),
    "OneTimeKeysExhausted": ({SPARE: pace(0, 3), CLAIMED: pace(5, 5)}, 3, WINDOW - 4),
    "ReconnectStorm": ({ACCEPTED: pace(1, 60), CONNECTIONS: level(500, 500)}, 3, WINDOW - 4),
    "CertificateExpiresSoon": ({EXPIRY: level(22 * DAY_S, 20 * DAY_S)}, 0, 0),
    "CertificateExpires": ({EXPIRY: level(4 * DAY_S, 2 * DAY_S)}, 0, 0),
    "ProbeAbsent": ({HEARTBEAT: level(10_000, 0)}, SHORT_HOLD, 0),
    # More than half of the 44 runs between the first and the last scrape of fifteen minutes.
    "ProbeFailing": ({RUNS_WELL: pace(1, 0), RUNS_ILL: pace(0, 1), HEARTBEAT: level(1, 1)}, 22, 22),
    "ProbeFailingHere": (
        {RUNS_WELL: pace(1, 0), RUNS_ILL: pace(0, 1), HEARTBEAT: level(1, 1), elsewhere(HEARTBEAT): level(1, 1)},
        22, 22,
    ),
    "ProbeCanaryLost": ({LOST: counter((FAULT - 1, 0), (1, 1), (LAST - FAULT, 0))}, 0, WINDOW - (END - FAULT)),
}  # fmt: skip


def test_every_direct_alert_is_proven() -> None:
    assert list(CASES) == [direct.name for direct in MESSENGER]


@pytest.mark.parametrize("alert", CASES)
def test_it_fires_on_its_fault_and_resets_after_it(tmp_path: Path, alert: str) -> None:
    series, fires, resets = CASES[alert]
    fires, resets = (FAULT + fires) * SCRAPE_S, (END + resets) * SCRAPE_S
    prove(
        tmp_path,
        messenger(PROFILE, "messenger").groups,
        series,
        [
            Expected(fires - SCRAPE_S, ever(alert, fires), 0),
            Expected(fires, firing(alert), 1),
            Expected(resets - SCRAPE_S, always(alert, resets - fires), 1),
            Expected(resets, firing(alert), 0),
            Expected(LAST * SCRAPE_S, ever(alert, LAST * SCRAPE_S - resets), 0),
        ],
    )


@pytest.mark.parametrize(
    ("alert", "series"),
    [
        pytest.param("NodeDown", {'up{job="oncall",instance="o1"}': level(1, 0)}, id="another job is down"),
        pytest.param("LogLag", {LOG_LAG: level(0.1, 60), DATABASE: level(1, 0)}, id="the database is away"),
        pytest.param("LogLag", {LOG_LAG: level(0.1, 10)}, id="a lag on the limit"),
        pytest.param(
            "DatabasePoolExhausted",
            {node("messenger_database_pool_waiting"): "0 5 0 2 3 0 " * 20},
            id="the pool is short now and then",
        ),
        pytest.param(
            "BusLosses", {RECOVERED: pace(0, 2), RELAYED: pace(0, 500), BUS: level(1, 1)}, id="less than a hundredth"
        ),
        pytest.param(
            "BusLosses",
            {RECOVERED: counter((FAULT, 0), (1, 9), (LAST - FAULT, 0)), RELAYED: pace(0, 0), BUS: level(1, 1)},
            id="nine messages lost",
        ),
        pytest.param(
            "BusLosses", {RECOVERED: pace(0, 50), RELAYED: pace(0, 0), BUS: level(0, 0)}, id="the bus is away, as told"
        ),
        pytest.param(
            "BusLosses",
            {RECOVERED: pace(1, 1), RELAYED: pace(0, 0), COMMITTED: pace(200, 200), BUS: level(1, 1)},
            id="a poll is now and then quicker than the node itself",
        ),
        pytest.param("ClockSkew", {SKEW: pace(2, 2), RELAYED: pace(30, 30)}, id="some frames overtake the clock"),
        pytest.param("LoopLag", loop(0, 5), id="a late turn now and then"),
        pytest.param(
            "DescriptorsLow",
            {OPEN: level(10, 99), ALLOWED: level(100, 100)},
            id="nothing is left, which is a page",
        ),
        pytest.param(
            "SlowConsumers", {SLOW: pace(1, 1), CONNECTIONS: level(20_000, 20_000)}, id="few of many read slowly"
        ),
        pytest.param("OneTimeKeysExhausted", {SPARE: pace(2, 2), CLAIMED: pace(50, 50)}, id="few of many run out"),
        pytest.param("ReconnectStorm", {ACCEPTED: pace(1, 1), CONNECTIONS: level(6, 6)}, id="a probe among six people"),
        pytest.param(
            "ReconnectStorm", {ACCEPTED: pace(100, 100), CONNECTIONS: level(9_000, 9_000)}, id="people come and go"
        ),
        pytest.param("BackupStale", {node("messenger_backup_timestamp_seconds"): level(0, 0)}, id="never backed up"),
        pytest.param("CertificateExpiresSoon", {probe("up"): level(1, 1)}, id="no TLS, no certificate"),
        pytest.param("CertificateExpiresSoon", {EXPIRY: level(2 * DAY_S, DAY_S)}, id="it ends now, which is a page"),
        pytest.param("ProbeAbsent", {HEARTBEAT: counter((LAST, SCRAPE_S))}, id="the probe runs"),
        pytest.param(
            "ProbeFailing",
            {RUNS_WELL: pace(1, 0), RUNS_ILL: pace(0, 1), HEARTBEAT: level(1, 1), elsewhere(HEARTBEAT): level(1, 1),
             elsewhere(RUNS_WELL): pace(1, 1)},
            id="one of two probers fails",
        ),
        pytest.param(
            "ProbeFailing",
            {RUNS_WELL: pace(1, 1), RUNS_ILL: pace(0, 1), HEARTBEAT: level(1, 1)},
            id="half of the runs fail",
        ),
        pytest.param(
            "ProbeFailing",
            {RUNS_ILL: counter((FAULT, 0), (1, 1), (LAST - FAULT, 0)), HEARTBEAT: level(1, 1)},
            id="one run failed",
        ),
        pytest.param(
            "ProbeFailingHere",
            {RUNS_WELL: pace(1, 0), RUNS_ILL: pace(0, 1), HEARTBEAT: level(1, 1), elsewhere(HEARTBEAT): level(1, 1),
             elsewhere(RUNS_WELL): pace(1, 0), elsewhere(RUNS_ILL): pace(0, 1)},
            id="two probers fail, which is a page",
        ),
        pytest.param(
            "ProbeCanaryLost", {LATE: pace(0, 1)}, id="late is not lost"
        ),
    ],
)  # fmt: skip
def test_it_is_silent(tmp_path: Path, alert: str, series: dict[str, str]) -> None:
    end_s = LAST * SCRAPE_S
    prove(tmp_path, messenger(PROFILE, "messenger").groups, series, [Expected(end_s, ever(alert, end_s), 0)])


def test_a_drill_fires_for_each_prober_while_its_figure_is_up(tmp_path: Path) -> None:
    number = 1_795_791_793_138
    series = {probe("messenger_probe_drill"): level(0, number), elsewhere(probe("messenger_probe_drill")): level(0, 0)}
    drill = firing("OnCallDrill", severity="none", instance="p1")
    expected = [Expected(at * SCRAPE_S, drill, is_on) for at, is_on in ((FAULT - 1, 0), (FAULT, 1), (END, 0))]
    expected.append(Expected(FAULT * SCRAPE_S, firing("OnCallDrill"), 1))
    prove(tmp_path, messenger(PROFILE, "messenger").groups, series, expected)


def test_a_probe_that_is_not_scraped_at_all_is_absent(tmp_path: Path) -> None:
    expected = [Expected(0, firing("ProbeAbsent"), 0), Expected(SHORT_HOLD * SCRAPE_S, firing("ProbeAbsent"), 1)]
    prove(tmp_path, messenger(PROFILE, "messenger").groups, {}, expected)
