"""Processes that are started again when they end, and ended together.

A thread each waits for its process. Each has a session of its own, so that Ctrl-C of a terminal reaches this process
alone and the order of going away is ours. One that keeps dying is started after a pause that grows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from deploy.stack.processes import Process

FIRST_PAUSE_S, MAX_PAUSE_S = 0.2, 10.0
STEADY_S = 30.0
"""Who has run so long died of something new: the next pause is short again."""
GOODBYE_S = 40.0
"""What a process may take to end after SIGTERM: a node drains for DRAIN_S, 20 s unless said."""


class Child:
    """One process under its name. `cwd` and `process` may be changed; the next start has them."""

    def __init__(self, process: Process, cwd: Path, log: Path, changed: Callable[[], None]) -> None:
        self.process = process
        self.cwd = cwd
        self.log = log
        self.starts = 0
        self._changed = changed
        self._running: subprocess.Popen[bytes] | None = None
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=process.name, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process that runs now; None between two."""
        running = self._running
        return running.pid if running is not None and running.returncode is None else None

    def start(self) -> None:
        """From now on it runs, whatever happens."""
        with self._moved:
            self._wanted.set()
            self._moved.notify_all()

    def send(self, signum: int) -> int | None:
        """Send it a signal; it is started again if it ends of it. Its pid, None when there was none."""
        running = self._running
        if running is None or running.poll() is not None:
            return None
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signum)  # the leader of its session, and whom it started
        return running.pid

    def restart(self, signum: int = signal.SIGTERM) -> None:
        """End it by a signal, and return when the next one runs. Raises TimeoutError."""
        starts = self.starts
        if self.send(signum) is None:
            self.start()
        self._wait(lambda: self.starts > starts, GOODBYE_S)

    def stop(self, signum: int = signal.SIGTERM) -> int | None:
        """End it and keep it ended until `start`; the exit status. It is killed after GOODBYE_S."""
        self._wanted.clear()
        running = self._running
        if running is None:
            return None
        self.send(signum)
        with suppress(TimeoutError):
            self._wait(lambda: self._running is not running, GOODBYE_S)
        if self._running is running:
            self.send(signal.SIGKILL)
            self._wait(lambda: self._running is not running, GOODBYE_S)
        return running.returncode

    def end(self) -> None:
        """For good."""
        self._ended.set()
        self.stop()
        self.start()  # the thread wakes, and sees that it has ended
        self._thread.join(GOODBYE_S)

    def _wait(self, true: Callable[[], bool], within_s: float) -> None:
        with self._moved:
            if not self._moved.wait_for(true, within_s):
                raise TimeoutError(f"{self.process.name} did not end or start within {within_s:.0f} s; see {self.log}")

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._wanted.wait()
            if self._ended.is_set():
                return
            began = time.monotonic()
            in_good_order = self._once() == 0
            if in_good_order or time.monotonic() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _once(self) -> int:
        """One life; the exit status."""
        with self._moved:
            if not self._wanted.is_set():
                return 0
            self._running = subprocess.Popen(
                ["/bin/sh", "-c", self.process.shell(self.log)],
                cwd=self.cwd,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | self.process.env,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.starts += 1
            self._moved.notify_all()
        self._changed()
        status = self._running.wait()
        with self._moved:
            self._running = None
            self._moved.notify_all()
        return status


class Supervisor:
    """Children by name, started in order and ended in the other."""

    def __init__(
        self, processes: Sequence[Process], cwd: Path, logs: Path, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.children = {one.name: Child(one, cwd, logs / f"{one.name}.log", changed) for one in processes}

    def start(self) -> None:
        """All of them."""
        for child in self.children.values():
            child.start()

    def end(self) -> None:
        """Those that were started last first; nodes drain side by side."""
        ending = [threading.Thread(target=child.end) for child in self.children.values()]
        for one in reversed(ending):
            one.start()
        for one in ending:
            one.join()
