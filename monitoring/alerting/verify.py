"""The generated files, judged by the programs that will read them: promtool and amtool.

They are asked about a copy in a folder of its own, so that what is planned is judged
and not what happens to lie on the disk. A program that is missing is a finding: what
was not judged must not look as if it were right.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from monitoring.alerting.matchers import equal
from monitoring.alerting.routes import Row, sample
from monitoring.paths import shown

TIMEOUT_S = 120
MAX_ROUTES = 60
"""So many rows of the table are tried, which takes two to four seconds when there are a thousand SLOs."""

_SELDOM_COLLECT = {"GOGC": "400"}
"""Both are Go programs, and collecting garbage is a fifth of promtool's time for a thousand SLOs."""

_PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
"""Debian's package of each program."""


def verify(files: Mapping[Path, bytes], folder: Path, rows: Sequence[Row]) -> list[str]:
    """What promtool and amtool find wrong in the files below `folder`, a line each; and what could not be asked."""
    programs = {name: shutil.which(name) for name in _PACKAGES}
    found = [
        f"{name} is missing, so its part is unchecked; install the Debian package {_PACKAGES[name]}"
        for name, path in programs.items()
        if not path
    ]
    with tempfile.TemporaryDirectory(prefix="monitoring-check-") as temporary:
        copy = Path(temporary)
        for path, content in files.items():
            if folder in path.parents:
                target = copy / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        if promtool := programs["promtool"]:
            # It reads the rule files that the configuration names, too.
            found += _judged([promtool, "check", "config"], copy / "prometheus.yml", folder)
        if amtool := programs["amtool"]:
            wrong = _judged([amtool, "check-config"], copy / "alertmanager.yml", folder)
            found += wrong or _misrouted(amtool, copy / "alertmanager.yml", sample(rows, MAX_ROUTES))
    return found


def _judged(command: Sequence[str], file: Path, folder: Path) -> list[str]:
    status, output = _run([*command, str(file)])
    if status == 0:
        return []
    told = " ".join(output.replace(f"{file.parent}{os.sep}", "").split())
    return [f"{shown(folder / file.name)}: {Path(command[0]).name}: {told}"]


def _misrouted(amtool: str, file: Path, rows: Sequence[Row]) -> Iterator[str]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for row, (status, output) in zip(rows, pool.map(lambda row: _route(amtool, file, row), rows), strict=True):
            wanted = ",".join(row.receivers)
            if status != 0 or output.strip() != wanted:
                labels = " ".join(f"{k}={v}" for k, v in row.labels.items())
                yield f"routes: {labels} should reach {wanted}; amtool says {output.strip() or 'nothing'}"


def _route(amtool: str, file: Path, row: Row) -> tuple[int, str]:
    labels = [equal(name, value) for name, value in row.labels.items()]
    return _run([amtool, "config", "routes", "test", f"--config.file={file}", *labels], errors=False)


def _run(command: Sequence[str], errors: bool = True) -> tuple[int, str]:
    """Exit status and output; amtool warns on stderr of what is not wrong."""
    try:
        done = subprocess.run(  # noqa: S603  our own arguments
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=os.environ | _SELDOM_COLLECT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, f"did not answer: {error}"
    told = done.stdout + done.stderr if errors or done.returncode else done.stdout
    return done.returncode, told
