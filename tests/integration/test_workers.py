"""`serve --workers N`: one port, several node processes, one that looks after them."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from monitoring.client.api import ApiError
from tests.support.fleet import Machine, base_port, ended, kill_with_workers, machine, machine_environ, start_workers
from tests.support.people import Listener, register
from tests.support.servers import eventually, running_redis


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as url:
        yield url


@contextmanager
def listeners(at: Machine, count: int) -> Iterator[list[Listener]]:
    """People connected to whichever worker the kernel chose."""
    people = [Listener(at.api, register(at.api)) for _ in range(count)]
    try:
        yield people
    finally:
        for person in people:
            with suppress(OSError):
                person.socket.close()


def test_workers_share_the_port_and_the_connections(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with machine(database_url, tmp_path / "log", workers=3, REDIS_URL=redis_url) as at, listeners(at, 24) as people:
        counts = [at.metric(i, "ws_connections_active") for i in range(3)]
        assert sum(counts) == 24 and all(counts), counts
        names = {at.api.call("GET", "/health")["node"] for _ in range(40)}
        assert names == {f"{at.node_id}-{i}" for i in range(3)}
        conv = at.api.create_conversation(people[0].account, [p.account.name for p in people[1:]])
        people[0].send(conv, "to all, wherever they are")
        for person in people:
            person.next("message", body="to all, wherever they are")


def test_a_killed_worker_comes_back_and_the_others_notice_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with machine(database_url, tmp_path / "log", workers=2, REDIS_URL=redis_url) as at, listeners(at, 16) as people:
        dead = at.worker(0)
        theirs = int(at.metric(0, "ws_connections_active"))
        dead.kill()
        eventually(lambda: sum(p.socket.closed.is_set() for p in people) == theirs)
        eventually(lambda: at.worker(0).pid != dead.pid and at.serving(0))
        assert sum(p.socket.closed.is_set() for p in people) == theirs < 16
        for person in people:
            if person.socket.closed.is_set():
                Listener(at.api, person.account).socket.close()
        assert "a worker died" in at.log.read_text()


def test_sigterm_drains_every_worker(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with machine(database_url, tmp_path / "log", workers=2, REDIS_URL=redis_url) as at, listeners(at, 12) as people:
        conv = at.api.create_conversation(people[0].account, [p.account.name for p in people[1:]])
        for n, person in enumerate(people):
            person.socket.send_message(conv, "x", f"last-{n}")
        assert at.stop() == 0
        for n, person in enumerate(people):
            assert 0 <= person.next("drain")["retry_after_ms"] < 1_000
            person.next("ack", id=f"last-{n}")
            eventually(person.socket.closed.is_set)
            assert person.socket.close_code == 1012


def test_sighup_replaces_the_workers_one_after_the_other(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with machine(database_url, tmp_path / "log", workers=2, REDIS_URL=redis_url) as at:
        before = {at.worker(i).pid for i in range(2)}
        at.process.send_signal(signal.SIGHUP)

        def replaced() -> bool:
            try:
                at.api.call("GET", "/health")
            except ApiError:
                # The instant between a worker's last accept and its close; somebody else always serves.
                at.api.call("GET", "/health")
            return "workers replaced" in at.log.read_text()

        eventually(replaced, within_s=40)
        assert before.isdisjoint(at.worker(i).pid for i in range(2))
        assert at.stop() == 0


def test_workers_do_not_outlive_their_supervisor(database_url: str, tmp_path: Path) -> None:
    with machine(database_url, tmp_path / "log", workers=2) as at:
        workers = [at.worker(i) for i in range(2)]
        at.process.kill()
        eventually(lambda: all(map(ended, workers)))


@pytest.mark.parametrize(("key", "offset"), [("PORT", 0), ("METRICS_PORT", 2)])
def test_a_port_taken_by_a_stranger_is_named(database_url: str, tmp_path: Path, key: str, offset: int) -> None:
    port = base_port(3)
    with socket.socket() as stranger:
        # One that would share its port: the workers alone would not notice.
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", port + offset))
        stranger.listen()
        status, output = refused(database_url, tmp_path / "log", port)
    assert (status, f"{key}: port {port + offset} cannot be used" in output) == (2, True), output


def test_without_a_database_the_supervisor_gives_up_with_the_workers_status(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{base_port(1)}/none"
    status, output = refused(nowhere, tmp_path / "log", base_port(3))
    assert (status, "the database cannot be reached" in output) == (1, True), output


def refused(database_url: str, log: Path, port: int) -> tuple[int, str]:
    """Exit status and output of two workers that are meant not to start; their metrics ports follow `port`."""
    process = start_workers(machine_environ(database_url, port), log, workers=2)
    try:
        return process.wait(timeout=30), log.read_text()
    finally:
        kill_with_workers(process)
