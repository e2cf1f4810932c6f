"""What must be there before the processes: folders, secrets, files, a database with the schema, generated rules.

`make run` and `make cluster` stand on the same ground; only their ports differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deploy.stack import database, prepare, processes, settings, surroundings


@contextmanager
def ground(where: settings.Settings) -> Iterator[list[processes.Process]]:
    """Every process of the stack, ready to be started; PostgreSQL runs until the block ends.

    Raises StackError when a program is missing or a step failed, with its words.
    """
    prepare.folders(where)
    secrets = prepare.make_secrets(where)
    demo = prepare.write_demo_accounts(where, secrets["demo-password"])
    prepare.write_monitoring_yaml(where)
    prepare.write_oncall_yaml(where)
    prepare.write_probes_yaml(where)
    surroundings.write_nginx(where)
    for line in surroundings.missing(where):
        print(line, file=sys.stderr)
    server: Any = None if where.database_url else database.start(where.folder / "postgres")
    try:
        database_url = where.database_url or server.get_uri()
        _migrate(database_url, secrets)
        prepare.write_ledger_url(where, database_url)
        _generate(where)
        yield processes.every(where, secrets, database_url, demo)
    finally:
        if server is not None:
            server.stop()


def _migrate(database_url: str, secrets: Mapping[str, str]) -> None:
    env = os.environ | {"DATABASE_URL": database_url, "JWT_SECRET": secrets["jwt-secret"]}
    _command([sys.executable, "-m", "app", "migrate", "up"], env)


def _generate(where: settings.Settings) -> None:
    command = ["generate", "--config", str(where.monitoring_yaml), "--env", prepare.ENVIRONMENT]
    _command([sys.executable, "-m", "monitoring", *command], dict(os.environ))


def _command(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=settings.PROJECT, check=False)
    if done.returncode:
        raise settings.StackError(f"{' '.join(command[1:])} failed:\n{done.stdout}{done.stderr}")
