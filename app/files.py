"""Files that hold secrets, new and readable by their owner only; and folders that outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from app.errors import ConfigError


def create_private(path: Path) -> TextIO:
    """Open a new file for writing with mode 600; raises ConfigError when it exists or cannot be made."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except FileExistsError:
        raise ConfigError([f"{path}: exists already and is not overwritten; move it away first"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk: what was renamed there stays so. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
