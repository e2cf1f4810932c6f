"""Child processes that must be able to clean up behind themselves, whoever ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

from deploy.stack.settings import PROJECT

GOODBYE_S = 30.0


def end_on_sigterm() -> None:
    """Make SIGTERM leave this process as an exception does, so that every `finally` is run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def end_after(limit_s: float) -> None:
    """The same when this process has lasted so long, whatever it waits for then."""
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"ended: it took longer than {limit_s:.0f} s"))
    signal.alarm(int(limit_s))


def run(command: Sequence[str], limit_s: float) -> int | None:
    """Run to the end and return the exit status; None when it took longer than `limit_s` and was ended.

    Unlike `subprocess.run` it kills nobody at once: after Ctrl-C, or when the time is over, the child gets
    SIGTERM and GOODBYE_S to stop its own children.
    """
    with subprocess.Popen(command, cwd=PROJECT) as process:
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GOODBYE_S)
        except subprocess.TimeoutExpired:
            process.kill()
