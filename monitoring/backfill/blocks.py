"""Runs promtool, which makes blocks of OpenMetrics text; the output folder appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from monitoring.errors import CannotWriteError

TIMEOUT_S = 600
MAX_BLOCK_DURATION = "744h"
"""A hidden flag: blocks of up to a month in place of two hours, 0.4 s in place of 26 s for 30 days."""


def check_free(folder: Path) -> None:
    """Raises CannotWriteError when the folder is there and not empty, or cannot be made."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CannotWriteError(f"{folder}: exists and is not an empty folder; blocks go into one of their own")
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWriteError(f"{folder}: {error.strerror}") from error


def promtool(path: str | None) -> str:
    """Where promtool is. Raises CannotWriteError."""
    found = shutil.which(path or "promtool")
    if found is None:
        raise CannotWriteError(f"{path or 'promtool'} is missing; it comes with Prometheus (Debian: prometheus)")
    return found


def create(program: str, text: str, folder: Path) -> list[str]:
    """Make blocks of OpenMetrics text in `folder`; their names. Raises CannotWriteError with promtool's words."""
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            source, blocks = Path(temporary, "slices.om"), Path(temporary, "blocks")
            source.write_text(text, encoding="utf-8")
            blocks.mkdir()
            _run(program, source, blocks)
            # The default mode of a temporary folder would keep Prometheus' own user out.
            blocks.chmod(0o755)
            os.rename(blocks, folder)  # noqa: PTH104  replaces an empty folder, which Path.rename says it may not
    except OSError as error:
        raise CannotWriteError(f"{folder}: {error.strerror}") from error
    return sorted(path.name for path in folder.iterdir())


def _run(program: str, source: Path, blocks: Path) -> None:
    command = [
        program, "tsdb", "create-blocks-from", f"--max-block-duration={MAX_BLOCK_DURATION}",
        "openmetrics", "--quiet", str(source), str(blocks),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603  the program that the user named, without a shell
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotWriteError(f"{program}: took longer than {TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise CannotWriteError(f"{program}: {(done.stderr or done.stdout).strip()}")
