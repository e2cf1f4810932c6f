"""Machines of several node processes (`serve --workers N`), and a fleet of such machines."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg2
import requests

from app import config, migrations
from deploy.stack import database
from deploy.stack.settings import is_free
from deploy.stack.wait import answers
from monitoring.client.api import Api
from tests.support.proxy import Proxy
from tests.support.repository import ROOT
from tests.support.servers import Node, eventually, node_environ, start_redis
from tests.support.sql import execute, rows

WORKERS = 3
BEAT_S = 4


def base_port(count: int) -> int:
    """The first of `count` neighbouring ports of loopback that nobody uses now.

    Below the range the kernel takes the ports of outgoing connections from: of those the tests have hundreds.
    """
    while True:
        first = random.randrange(10_000, 32_000 - count)
        if all(map(is_free, range(first, first + count))):
            return first


def start_workers(environ: dict[str, str], log: Path, workers: int) -> subprocess.Popen[bytes]:
    """The supervisor's process; its output, and that of its workers, goes to `log`."""
    command = [sys.executable, "-m", "app", "serve", "--workers", str(workers)]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT)


@dataclass
class Machine:
    """One machine: a supervisor and its workers behind one port."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    workers: int
    node_id: str
    log: Path
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.api = Api(f"http://127.0.0.1:{self.port}")

    def metric(self, worker: int, name: str, **labels: str) -> float:
        """The value of one series of one worker; 0 when it is not exposed."""
        return Node(self.process, self.api, self.port, self.metrics_port + worker, self.log).metric(name, **labels)

    def total(self, name: str, **labels: str) -> float:
        """The sum of one series over the workers."""
        return sum(self.metric(worker, name, **labels) for worker in range(self.workers))

    def worker(self, number: int) -> psutil.Process:
        """The process that is worker `number` now, waited for."""
        return eventually(lambda: self._worker(number))

    def _worker(self, number: int) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children():
            try:
                if child.environ().get("METRICS_PORT") == str(self.metrics_port + number):
                    return child
            except psutil.Error:
                continue
        return None

    def serving(self, worker: int) -> bool:
        """Whether this worker serves and hears the other nodes."""
        try:
            return self.metric(worker, "messenger_bus_connected") == 1
        except requests.RequestException:
            return False

    def whole(self) -> bool:
        """Whether every worker serves and the machine wants connections."""
        return all(map(self.serving, range(self.workers))) and answers(f"{self.api.base_url}/health/ready")

    def wait_until_whole(self) -> None:
        """Fails with the log when the supervisor ends instead."""
        eventually(lambda: self.process.poll() is not None or self.whole(), within_s=60)
        assert self.process.poll() is None, self.log.read_text()[-4_000:]

    def kill(self) -> None:
        """The supervisor and all workers at once, as when the machine loses its power."""
        kill_with_workers(self.process)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def machine(database_url: str, log: Path, workers: int, **more: str) -> Iterator[Machine]:
    """A machine of its own, every worker serving; killed at the end if it still runs."""
    at = start_machine(machine_environ(database_url, base_port(workers + 1), **more), log, workers)
    try:
        at.wait_until_whole()
        yield at
    finally:
        at.kill()


def start_machine(environ: dict[str, str], log: Path, workers: int) -> Machine:
    """A machine that is on its way up."""
    port, metrics_port = int(environ["PORT"]), int(environ["METRICS_PORT"])
    return Machine(start_workers(environ, log, workers), port, metrics_port, workers, environ["NODE_ID"], log)


def machine_environ(database_url: str, port: int, **more: str) -> dict[str, str]:
    """The environment of a machine whose metrics ports follow its port."""
    own = {"PORT": str(port), "METRICS_PORT": str(port + 1), "NODE_ID": f"machine-{port}", "DATABASE_POOL_SIZE": "3"}
    return node_environ(database_url, **(own | more))


def kill_with_workers(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind, whatever state it is in."""
    workers = psutil.Process(process.pid).children() if process.poll() is None else []
    process.kill()
    process.wait()
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    eventually(lambda: all(map(ended, workers)))


def ended(process: psutil.Process) -> bool:
    """Whether it is gone; also when whoever inherited it has not asked for its exit status yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass
class Fleet:
    """Three machines of three workers on one PostgreSQL and one Redis of their own.

    The third machine reaches both through proxies, so that it alone can be cut off.
    """

    folder: Path
    server: Any
    database_url: str
    redis: subprocess.Popen[bytes]
    redis_port: int
    database_proxy: Proxy
    redis_proxy: Proxy
    environs: list[dict[str, str]]
    machines: list[Machine] = field(default_factory=list)

    def start(self, number: int, **more: str) -> None:
        """Start a machine again, or for the first time, perhaps with other settings; does not wait."""
        log = self.folder / f"machine-{number}-{time.monotonic_ns()}.log"
        at = start_machine(self.environs[number] | more, log, WORKERS)
        self.machines[number : number + 1] = [at]

    def wait_until_whole(self) -> None:
        """Every worker serves and hears the others over Redis, and every machine is ready."""
        for at in self.machines:
            at.wait_until_whole()

    def repair(self) -> bool:
        """Undo whatever a failed test left broken, so that it fails alone; whether anything was."""
        broken = [proxy for proxy in (self.database_proxy, self.redis_proxy) if proxy.broken]
        for proxy in broken:
            proxy.heal()
        dead = [number for number, at in enumerate(self.machines) if at.process.poll() is not None]
        redis_gone = self.redis.poll() is not None
        postgres_gone = not self._postgres_answers()
        if redis_gone:
            self.start_redis()
        if postgres_gone:
            self.server.start()
        for number in dead:
            self.start(number)
        return bool(broken or dead or redis_gone or postgres_gone)

    def _postgres_answers(self) -> bool:
        try:
            return bool(rows(self.database_url, "SELECT 1"))
        except psycopg2.OperationalError:
            return False

    def kill_redis(self) -> None:
        """Redis is gone, with everything it held."""
        self.redis.kill()
        self.redis.wait()

    def start_redis(self) -> None:
        """A new Redis on the same port."""
        self.redis = start_redis(self.folder, self.redis_port)

    def total(self, name: str, **labels: str) -> float:
        """The sum of one series over all nodes."""
        return sum(at.total(name, **labels) for at in self.machines)

    def restart_postgres(self, while_down: Callable[[], None]) -> None:
        """Stop the server as a power cut would (no checkpoint, nobody told), then start it; nodes must cope."""
        quit_postgres(self.server)
        while_down()
        self.server.start()

    def restart(self, settings: dict[int, dict[str, str]]) -> None:
        """Drain these machines and start them again with settings of their own; wait for all."""
        for number in settings:
            self.machines[number].process.send_signal(signal.SIGTERM)
        for number, more in settings.items():
            assert self.machines[number].process.wait(timeout=30) == 0
            self.start(number, **more)
        self.wait_until_whole()

    @property
    def ports(self) -> list[int]:
        """Of all machines."""
        return [at.port for at in self.machines]


@contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    """Nine nodes, ready."""
    server = database.start(folder / "postgres")
    redis_port = base_port(1)
    with ExitStack() as stack:
        stack.callback(quit_postgres, server)
        database_url = fresh_database(server.get_uri())
        socket_folder = parse_qs(urlsplit(database_url).query)["host"][0]
        proxies = Proxy(f"{socket_folder}/.s.PGSQL.5432"), Proxy(("127.0.0.1", redis_port))
        for proxy in proxies:
            stack.callback(proxy.close)
        through = {
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{proxies[0].port}/fleet?sslmode=disable",
            "REDIS_URL": f"redis://127.0.0.1:{proxies[1].port}/0",
        }
        settings = {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", "BEAT_S": str(BEAT_S), "LOG_LEVEL": "info"}
        environs = [
            machine_environ(database_url, base_port(WORKERS + 1), **(settings | more)) for more in ({}, {}, through)
        ]
        redis = start_redis(folder, redis_port)
        fleet = Fleet(folder, server, database_url, redis, redis_port, *proxies, environs)
        stack.callback(fleet.kill_redis)
        stack.callback(lambda: [at.kill() for at in fleet.machines])
        for number in range(len(environs)):
            fleet.start(number)
        fleet.wait_until_whole()
        yield fleet


def quit_postgres(server: Any) -> None:
    """End the server as a crash would: at once, with no checkpoint."""
    postmaster = psutil.Process(server.get_pid())
    postmaster.send_signal(signal.SIGQUIT)
    eventually(lambda: ended(postmaster))


def fresh_database(maintenance_url: str) -> str:
    """URL of a new database called `fleet`, with the current schema."""
    execute(maintenance_url, "CREATE DATABASE fleet")
    url = maintenance_url.replace("/postgres?", "/fleet?")
    migrations.up(config.load({"DATABASE_URL": url}))
    return url
