"""The whole house, started as a user starts it: from a message to an alert that fires and resolves."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest
import requests

from deploy.stack.settings import Ports
from monitoring.boards.queries import panel_queries
from tests.support.browser import BoardPage, opened
from tests.support.people import listening, register
from tests.support.repository import DASHBOARDS, ROOT
from tests.support.servers import eventually, free_port
from tests.support.sql import rows
from tests.support.stack import SCRAPE_S, Stack, demo_accounts, environment, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

ALERT = "FanoutLatencyThreshold"
GREEN, RED = "#73BF69", "#F2495C"
"""Of Grafana's dark theme."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="messenger-e2e-") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own when this runs as root
        yield Path(name) / "run"


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Stack]:
    with make_run(folder) as running:
        yield running


def database_url(stack: Stack) -> str:
    socket_folder = (stack.folder / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    return f"postgresql://postgres:@/postgres?host={socket_folder}"


def test_two_people_talk(stack: Stack) -> None:
    ann, bob = register(stack.api, "ann"), register(stack.api, "bob")
    conv = stack.api.create_conversation(ann, [bob.name])
    with listening(stack.api, ann) as at_ann, listening(stack.api, bob) as at_bob:
        for n in range(10):
            at_ann.send(conv, f"ping {n}")
            at_bob.next("message", conv=conv, body=f"ping {n}")
            at_bob.send(conv, f"pong {n}")
        eventually(lambda: at_ann.bodies(conv) == at_bob.bodies(conv) and len(at_ann.bodies(conv)) == 20)


def test_a_whole_chunk_of_an_attachment_passes_nginx(stack: Stack) -> None:
    ann, bob = register(stack.api, "ann"), register(stack.api, "bob")
    conv = stack.api.create_conversation(ann, [bob.name])
    proxy, content = f"http://127.0.0.1:{stack.ports.proxy_port}", os.urandom(8 * 1024 * 1024)
    bearer = {"Authorization": f"Bearer {ann.access_token}"}
    form = {"conv": conv, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    begun = requests.post(f"{proxy}/api/media/uploads", json=form, headers=bearer, timeout=30).json()
    put = f"{proxy}/api/media/uploads/{begun['upload']}?offset=0"
    done = requests.put(put, data=content, headers=bearer, timeout=30)
    assert done.status_code == 200, done.text
    assert requests.get(proxy + done.json()["url"], timeout=30).content == content
    assert list((stack.folder / "media" / "objects").rglob(done.json()["media"]))


def test_the_table_says_how_to_log_in_and_the_token_works(stack: Stack) -> None:
    output = stack.output.read_text()
    for port in (stack.ports.port, stack.ports.preview_port, stack.ports.prometheus_port, stack.ports.oncall_port):
        assert f":{port}" in output
    assert "wscat" in output
    told = demo_accounts(stack)
    assert stack.secret("demo-password") not in output
    assert stack.api.login(told["people"][0], told["password"]).name == told["people"][0]


def test_every_panel_of_the_overview_has_data_within_a_minute(stack: Stack) -> None:
    board = json.loads((stack.folder / "dashboards" / "messenger-overview.json").read_text())
    committed = json.loads((DASHBOARDS / "messenger-overview.json").read_text())
    queries = panel_queries(board, rate_interval=f"{SCRAPE_S * 10}s", job="secure-messenger", instance=".+")
    titles = {query.panel_title for query in queries}
    assert len(titles) == 10
    assert titles == {q.panel_title for q in panel_queries(committed, rate_interval="1m", job=".+", instance=".+")}

    def without_data() -> list[str]:
        return [
            f"{query.panel_title} {query.ref_id}: {query.expr}"
            for query in queries
            if not any(row["value"][1] != "NaN" for row in stack.query(query.expr))
        ]

    eventually(without_data, lambda missing: not missing, within_s=60)
    eventually(lambda: stack.query("sum(ws_connections_active) >= 5"))
    eventually(lambda: stack.query('sum(increase(messenger_probe_canaries_total{outcome="delivered"}[1m])) > 0'))


BAD_EVENTS = {
    "probe": 'sum(messenger_probe_canaries_total{outcome!="delivered"})',
    "connects": 'sum(messenger_probe_connects_total{outcome!="ok"})',
    "fanout-latency": 'sum(messenger_fanout_owed_total{path="message"})'
    ' - sum(messenger_fanout_latency_seconds_bucket{path="message",le="0.25"})',
    "read-sync": 'sum(messenger_fanout_owed_total{path="read_sync"})'
    ' - sum(messenger_fanout_latency_seconds_bucket{path="read_sync",le="2.0"})',
}
"""What was too late, counted by those who saw it; the objectives that a slow machine can miss with nothing broken."""


def test_nothing_fires_while_all_is_well(stack: Stack) -> None:
    """Where the machine itself was too slow, an objective was missed and is told of rightly; nothing else may be."""
    assert stack.query('ALERTS{alertstate="firing",alertname="Watchdog"}')

    def unfounded() -> list[dict[str, str]]:
        firing = [row["metric"] for row in stack.query('ALERTS{alertstate="firing",severity!="none"}')]
        missed = {slo for slo, bad in BAD_EVENTS.items() if stack.query(f"({bad}) > 0")}
        return [alert for alert in firing if alert.get("slo_id") not in missed]

    eventually(unfounded, lambda alerts: not alerts, 90)


@contextmanager
def slow_fanout(stack: Stack) -> Iterator[None]:
    stack.switch_faults(fanout_delay_ms=400)
    yield
    stack.switch_faults()


@contextmanager
def stalled_fanout(stack: Stack) -> Iterator[None]:
    stack.switch_faults(fanout_stall=True)
    yield
    stack.switch_faults()


@contextmanager
def locked_rows(stack: Stack) -> Iterator[None]:
    """Somebody forgot a transaction that holds every conversation: nothing can be committed."""
    conn = psycopg2.connect(database_url(stack))
    with conn.cursor() as cursor:
        cursor.execute("SELECT FROM conversations FOR UPDATE")
        yield
    conn.rollback()
    conn.close()


@contextmanager
def stopped_backends(stack: Stack) -> Iterator[None]:
    """The node's database sessions are stopped by a signal, as on a machine that swaps or a disk that hangs."""
    backends = rows(database_url(stack), "SELECT pid FROM pg_stat_activity WHERE application_name = 'messenger'")
    assert backends
    for (pid,) in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for (pid,) in backends:
            os.kill(pid, signal.SIGCONT)


WINDOW_S = 15
"""The direct alert's two minutes, divided as the stack of the tests divides."""


@pytest.mark.parametrize(
    ("fault", "hold_s"),
    [(slow_fanout, 0), (stalled_fanout, WINDOW_S + 2), (locked_rows, WINDOW_S + 2), (stopped_backends, 0)],
)
def test_the_alert_reaches_the_webhook_and_resolves(
    stack: Stack, fault: Callable[[Stack], AbstractContextManager[None]], hold_s: int
) -> None:
    before = eventually(
        lambda: stack.arrived(ALERT), lambda all_: all_.count("firing") == all_.count("resolved"), within_s=90
    )
    with fault(stack):
        new = eventually(lambda: stack.arrived(ALERT)[len(before) :], within_s=60)
        assert new == ["firing"]
        if hold_s:
            time.sleep(hold_s)
            assert stack.arrived(ALERT)[len(before) :] == ["firing"], "a stall must not look like an end of it"
    new = eventually(lambda: stack.arrived(ALERT)[len(before) :], lambda new: len(new) > 1, within_s=90)
    assert new == ["firing", "resolved"]


def test_people_who_cannot_connect_are_seen_from_outside_and_page_within_the_minute(stack: Stack) -> None:
    """What the node says of itself has no part in it: the probe meets the refusal, and on-call times its own pages."""
    stack.switch_faults(refuse_connects=True)
    try:
        eventually(lambda: "firing" in stack.arrived("ConnectsBudgetBurn"), within_s=60)
        assert stack.query('increase(messenger_probe_connect_failures_total{reason="upgrade"}[1m]) > 0')
    finally:
        stack.switch_faults()
    eventually(lambda: stack.query('oncall_alert_delay_seconds_count{severity="page"} > 0'))
    assert stack.query('oncall_alert_delay_seconds_bucket{severity="page",le="60.0"} > 0')


def boards(stack: Stack) -> dict[str, Any]:
    """The stack's boards by uid; the one to import is the overview again."""
    files = sorted((stack.folder / "dashboards").glob("*.json"))
    read = [json.loads(path.read_text()) for path in files if path.name != "grafana-dashboard.json"]
    return {board["uid"]: board for board in read}


def test_every_panel_of_every_board_had_data_during_traffic_and_faults(stack: Stack) -> None:
    """Alerts among them, which only fired while something was broken."""
    asked = {
        f"{uid}: {query.panel_title} {query.ref_id}: {query.expr}": query.expr
        for uid, board in boards(stack).items()
        for query in panel_queries(board, rate_interval=f"{SCRAPE_S * 10}s", job=".+", instance=".+", slo=".+")
    }
    # A comparison drops NaN, which is no data.
    silent = [at for at, expr in asked.items() if not stack.query(f"last_over_time((({expr}) >= -Inf)[15m:10s])")]
    assert silent == []
    assert {uid.partition("-")[0] for uid in boards(stack)} == {"messenger", "infra"}
    assert len(boards(stack)) == 11


def test_the_check_finds_every_metric_in_the_live_prometheus(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.ports.prometheus_port}"
    command = [sys.executable, "-m", "monitoring", "check", "--metrics", url, str(stack.folder / "dashboards")]

    def told() -> tuple[list[str], str]:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        return [line for line in done.stderr.splitlines() if ": warning: " not in line], done.stdout

    # The slowest recorded series come with the first slice of a stack that has just started.
    _, said = eventually(told, lambda seen: not seen[0], within_s=90)
    assert "12 dashboards" in said


def test_every_board_opens_in_the_browser_and_what_is_past_its_objective_turns_red(
    stack: Stack, browser: Browser
) -> None:
    def page(uid: str) -> AbstractContextManager[BoardPage]:
        return opened(browser, f"http://127.0.0.1:{stack.ports.preview_port}/d/{uid}?from=now-10m&to=now&refresh=")

    def color() -> str:
        with page("messenger-probes") as probes:
            return probes.value_color("Canaries in time").upper()

    for uid in boards(stack):
        with page(uid) as board:
            assert "error" not in board.states.values(), {title: board.error(title) for title in board.states}
            assert board.problems == []
    eventually(color, lambda said: said == GREEN, within_s=90)
    with slow_fanout(stack):
        eventually(color, lambda said: said == RED, within_s=60)


def test_what_was_sent_during_the_faults_was_delivered_in_the_end(stack: Stack) -> None:
    """The demo people's views of their conversations are dense, in order, and equal to the database's log."""
    told = demo_accounts(stack)
    log = rows(database_url(stack), "SELECT conversation_id, seq FROM messages ORDER BY conversation_id, seq")
    for name in told["people"]:
        account = stack.api.login(name, told["password"])
        with listening(stack.api, account) as listener:
            seen = [(e["conv"], e["seq"]) for e in listener.everything() if e["type"] in ("message", "member")]
        assert {conv for conv, _ in seen}
        for conv in {conv for conv, _ in seen}:
            seqs = [seq for c, seq in seen if c == conv]
            assert seqs == list(range(1, len(seqs) + 1))
            assert len(seqs) >= sum(c == conv for c, _ in log)


def test_a_port_that_is_taken_is_named(stack: Stack, folder: Path) -> None:
    free = Ports(**{f.name: free_port() for f in fields(Ports)})
    environ = environment(folder.parent / "second", free) | {
        "PORT": str(stack.ports.port),
        "ONCALL_PORT": str(stack.ports.oncall_port),
    }
    done = subprocess.run(["make", "run"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert f"port {stack.ports.port} is taken (PORT)" in done.stderr
    assert f"port {stack.ports.oncall_port} is taken (ONCALL_PORT)" in done.stderr


def test_ctrl_c_stops_everything_and_a_second_start_keeps_the_data(stack: Stack, folder: Path) -> None:
    keeper = register(stack.api, "keeper")
    conv = stack.api.create_conversation(keeper, [register(stack.api).name])
    with listening(stack.api, keeper) as listener:
        listener.send(conv, "remember me")
    stack.interrupt()
    assert still_running(folder) == []
    with make_run(folder, stack.ports) as second:
        stored = second.api.login(keeper.name, "correct horse battery")
        with listening(second.api, stored) as listener:
            assert listener.bodies(conv) == ["remember me"]
        second.interrupt()
    assert still_running(folder) == []


def still_running(folder: Path) -> list[str]:
    """Processes whose command line names the stack's folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if str(folder) in " ".join(process.info["cmdline"] or ()):
                found.append(" ".join(process.info["cmdline"]))
        except psutil.Error:
            continue
    return found
