"""Programs that the tests start, and kill at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.wait import answers
from tests.support.repository import ROOT
from tests.support.servers import eventually


@contextmanager
def running(log: Path, ready: str, *command: str, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """The process id of a program, until the end of the block, when it is killed; in it, `ready` answers."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: process.poll() is not None or answers(ready))
            assert process.poll() is None, log.read_text()
            yield process.pid
        finally:
            process.kill()
            process.wait()
