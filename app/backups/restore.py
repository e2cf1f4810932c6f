"""`app restore`: an archive becomes the database, or nothing happens.

It is restored into a new database, made fit to be served there, and takes the name of the old one in one transaction;
the old one stays beside it under another name. Why it must be made fit: docs/backups.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, make_dsn, parse_dsn

from app.backups import archive, programs
from app.backups.archive import Manifest
from app.config import Config
from app.domain.ids import DeviceId
from app.errors import BackupError, ConfigError
from app.storage import revocations
from app.store import backups

Connection = psycopg2.extensions.connection
MAINTENANCE = "postgres"
ALONE_WITHIN_S, LOOK_S = 5.0, 0.2


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of it."""

    epoch: str
    revoked_again: int
    kept_as: str | None
    """The name of the database that was there before; None when there was none, or nothing in it."""


def restore(
    config: Config, path: Path, replace: str | None = None, now: float | None = None
) -> tuple[Manifest, Restored]:
    """Bring an archive back as the database of DATABASE_URL; `replace` repeats the name of one that is not empty.

    Raises BackupError, ConfigError; the database is then as it was.
    """
    manifest = archive.manifest_of(path)
    archive.require_whole(path, manifest)
    name = parse_dsn(config.database_url)["dbname"]
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime(now))
    new, old = f"{name}_restored_{stamp}", f"{name}_before_{stamp}"
    revoked = _revoked(config)
    with _server(config) as server:
        there = _exists(server, name)
        empty = not there or _is_empty(config)
        _require_free(server, name, empty, replace)
        _execute(server, "CREATE DATABASE {} TEMPLATE template0", new)
        try:
            env = programs.environment(_url(config, new))
            arguments = ("--no-owner", "--no-password", "--exit-on-error", f"--dbname={new}", str(path))
            version = max(server.server_version // 10_000, int(manifest.postgresql.split(".")[0].split(" ")[0]))
            programs.run("pg_restore", *arguments, server=version, env=env)
            epoch, again = _made_fit(_url(config, new), revoked)
            _take_the_name(server, name, new, old if there else None)
        except BaseException:
            _execute(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", new)
            raise
        if there and empty:
            _execute(server, "DROP DATABASE {}", old)
    return manifest, Restored(epoch, again, None if empty else old)


def after_recovery(config: Config) -> Restored:
    """The same for a database that PostgreSQL itself recovered to a moment. Raises BackupError, ConfigError."""
    revoked = _revoked(config)
    name = parse_dsn(config.database_url)["dbname"]
    with _server(config) as server:
        _require_alone(server, name)
    epoch, again = _made_fit(config.database_url, revoked)
    return Restored(epoch, again, None)


def _revoked(config: Config) -> dict[DeviceId, float]:
    if not config.revocations_dir:
        return {}
    try:
        return revocations.read(Path(config.revocations_dir))
    except (OSError, ValueError) as error:
        raise BackupError(str(error)) from None


def _made_fit(url: str, revoked: dict[DeviceId, float]) -> tuple[str, int]:
    with _connected(url) as conn, conn:
        backups.begin_a_new_epoch(conn)
        again = backups.revoke_again(conn, revoked)
        return backups.epoch(conn), len(again)


def _require_free(server: Connection, name: str, empty: bool, replace: str | None) -> None:
    if replace is not None and replace != name:
        raise ConfigError([f"--replace: is {replace!r}, and the database of DATABASE_URL is {name!r}"])
    if not empty and replace is None:
        raise BackupError(f"the database {name!r} is not empty; --replace {name} puts the archive in its place")
    _require_alone(server, name)


def _require_alone(server: Connection, name: str) -> None:
    """Of nodes that were just killed the server learns after a moment."""
    deadline = time.monotonic() + ALONE_WITHIN_S
    while others := backups.others(server, name):
        if time.monotonic() > deadline:
            raise BackupError(f"{others} connections to {name!r} are open; stop the nodes, and whatever else uses it")
        time.sleep(LOOK_S)


def _take_the_name(server: Connection, name: str, new: str, old: str | None) -> None:
    """Both renamings or none."""
    server.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_DEFAULT)
    try:
        with server, server.cursor() as cursor:
            if old:
                cursor.execute(_named("ALTER DATABASE {} RENAME TO {}", name, old))
            cursor.execute(_named("ALTER DATABASE {} RENAME TO {}", new, name))
    finally:  # the new database is dropped when this failed, which no transaction allows
        server.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)


def _exists(server: Connection, name: str) -> bool:
    with server.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        return cursor.fetchone() is not None


def _is_empty(config: Config) -> bool:
    with _connected(config.database_url) as conn:
        return backups.is_empty(conn)


def _execute(server: Connection, statement: str, *names: str) -> None:
    with server.cursor() as cursor:
        cursor.execute(_named(statement, *names))


def _named(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))


@contextmanager
def _server(config: Config) -> Iterator[Connection]:
    """The maintenance database of the same server, where databases are made and renamed."""
    with _connected(_url(config, MAINTENANCE)) as conn:
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        yield conn


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        with closing(psycopg2.connect(url)) as conn:
            yield conn
    except psycopg2.Error as error:
        problem = re.sub(r"\s+", " ", str(error)).strip()
        raise BackupError(f"PostgreSQL: {problem}") from None


def _url(config: Config, database: str) -> str:
    return str(make_dsn(config.database_url, dbname=database))
