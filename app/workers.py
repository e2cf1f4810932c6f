"""Several nodes on one machine: `serve --workers N` starts N processes on one port and looks after them.

Each worker is a node of its own, started anew and not forked, so nothing is shared but the port: the kernel spreads
new connections over all that listen (SO_REUSEPORT). One that dies is started again, after a pause that grows while
it keeps dying. SIGTERM and SIGINT are passed on, SIGHUP replaces one worker after the other; a worker notices by
itself when this process is gone (`server._follow`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import gevent
from gevent import subprocess
from gevent.event import Event
from gevent.lock import RLock

from app import logs
from app.config import Config
from app.errors import ConfigError
from app.server import bind

FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 30.0
STEADY_S = 60.0
"""Who has served so long died of something new: the next pause is a short one again."""
READY_S = 60.0
STOP_S = 15.0
"""What a worker may take to end beyond its drain."""
CHECK_S = 0.1
EXIT_FAILED = 1

log = logs.get("workers")


def supervise(config: Config, count: int, command: list[str]) -> int:
    """Run `count` workers until a signal says stop; returns the exit status.

    `command` starts a node; its settings come from this process's environment. 0 when all left in good order. When a
    worker cannot start at all in the beginning, its status: its own output has the reason.
    Raises ConfigError when a port is taken or the ports overlap.
    """
    logs.configure(config.log_level, config.node_id)
    _check_ports(config, count)
    stop = Event()
    workers = [Worker(config, number, command, stop) for number in range(count)]
    for signum in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(signum, _end, workers, stop, signum)
    gevent.signal_handler(signal.SIGHUP, _replace_all, workers, config.drain_s, RLock())
    log.info("supervising", workers=count, port=config.port, metrics_ports=[w.metrics_port for w in workers])
    greenlets = [gevent.spawn(worker.run) for worker in workers]
    gevent.wait([*greenlets, stop], count=1)
    if not stop.is_set():  # a worker never came to serve, and gave up
        _end(workers, stop, signal.SIGTERM)
    gevent.joinall(greenlets, timeout=config.drain_s + STOP_S)
    for worker in workers:
        worker.signal(signal.SIGKILL)
    gevent.joinall(greenlets)
    statuses = [worker.status for worker in workers]
    log.info("stopped", statuses=statuses)
    return next((status for status in statuses if status > 0), EXIT_FAILED if any(statuses) else 0)


def _check_ports(config: Config, count: int) -> None:
    """Name a stranger's port before workers try it: one that shares its port would else go unnoticed."""
    metrics_ports = range(config.metrics_port, config.metrics_port + count)
    if config.port in metrics_ports or metrics_ports[-1] > 65535:
        needed = f"{metrics_ports[0]} to {metrics_ports[-1]}"
        raise ConfigError([f"METRICS_PORT: {count} workers need ports {needed}, all valid and none of them PORT"])
    bind("PORT", config.host, config.port, shared=False).close()
    for port in metrics_ports:
        bind("METRICS_PORT", config.metrics_host, port, shared=False).close()


def pause_after(life_s: float, pause_s: float) -> float:
    """Seconds to wait before the next start of a worker that lived `life_s`, when the last wait was `pause_s`.

    >>> [pause_after(1, 0), pause_after(1, 0.2), pause_after(1, 25), pause_after(3600, 25)]
    [0.2, 0.4, 30.0, 0.2]
    """
    return FIRST_PAUSE_S if life_s >= STEADY_S or not pause_s else min(2 * pause_s, MAX_PAUSE_S)


def environment(environ: Mapping[str, str], config: Config, number: int) -> dict[str, str]:
    """The environment of worker `number`."""
    ours = {"METRICS_PORT": str(config.metrics_port + number), "NODE_ID": f"{config.node_id}-{number}"}
    return {**environ, **ours}


class Worker:
    """One place for a worker, and whichever process fills it now."""

    def __init__(self, config: Config, number: int, command: list[str], stop: Event) -> None:
        self.number = number
        self.metrics_port = config.metrics_port + number
        self.status = 0
        self.ready = Event()
        self.replacing = False
        self._served = False
        self._command = [*command, "--worker-of", str(os.getpid())]
        self._environ = environment(os.environ, config, number)
        self._metrics_host = config.metrics_host
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Keep a process in this place until `stop`; returns early when the first one never serves."""
        pause_s = 0.0
        while not self._stop.is_set():
            started = time.monotonic()
            self._start()
            self._wait()
            if self._stop.is_set() or not self._served:
                return
            if self.replacing:
                continue
            pause_s = pause_after(time.monotonic() - started, pause_s)
            log.warning("a worker died", worker=self.number, status=self.status, again_after_s=pause_s)
            self._stop.wait(timeout=pause_s)

    def signal(self, signum: int) -> None:
        """Pass a signal on, if the process is there."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signum)

    def _start(self) -> None:
        # In a session of its own: a terminal's Ctrl-C must reach it once, through this process, not twice.
        self.replacing = False
        self._process = subprocess.Popen(self._command, env=self._environ, start_new_session=True)
        log.info("worker started", worker=self.number, pid=self._process.pid, metrics_port=self.metrics_port)

    def _wait(self) -> None:
        """Wait for the end of the process, and note meanwhile that it serves."""
        assert self._process is not None  # noqa: S101  started above
        watch = gevent.spawn(self._watch_for_ready)
        self.status = self._process.wait()
        watch.kill()
        self.ready.clear()
        if self._stop.is_set() and not self._served and self.status == -signal.SIGTERM:
            self.status = 0  # told to stop before it could handle a signal

    def _watch_for_ready(self) -> None:
        while not _answers(self._metrics_host, self.metrics_port):
            gevent.sleep(CHECK_S)
        self._served = True
        self.ready.set()


def _end(workers: list[Worker], stop: Event, signum: int) -> None:
    """Tell every worker to go away; a second time, at once."""
    stop.set()
    for worker in workers:
        worker.signal(signum)


def _replace_all(workers: list[Worker], drain_s: float, one_at_a_time: RLock) -> None:
    """Replace one worker after the other, each only when the one before it serves again."""
    with one_at_a_time:
        log.info("replacing workers")
        for worker in workers:
            if worker.ready.wait(timeout=READY_S):  # else an answer of the old process would pass for the new one's
                worker.replacing = True
                worker.ready.clear()
                worker.signal(signal.SIGTERM)
            if not worker.ready.wait(timeout=drain_s + STOP_S + READY_S):
                log.error("a replaced worker does not serve; the others are left as they are", worker=worker.number)
                return
        log.info("workers replaced")


def _answers(host: str, port: int) -> bool:
    """Whether a node's metrics server does; it does so once the node serves."""
    connection = HTTPConnection(host, port, timeout=1.0)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
