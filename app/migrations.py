"""Bringing the database's schema up, and back down. Plain SQL in `migrations/`, run by yoyo."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from yoyo import get_backend, read_migrations

from app.config import Config
from app.errors import ConfigError, Unavailable

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
MAX_BACKUP_AGE_S = 3_600
PART = ".part"
"""What `backup` is still writing ends so."""
_ARCHIVE_MAGIC = b"PGDMP"  # how pg_dump's custom format begins


@dataclass(frozen=True, slots=True)
class Step:
    """One migration and whether the database has it."""

    name: str
    applied: bool


def status(config: Config) -> list[Step]:
    """Every step in order."""
    with _backend(config) as backend:
        steps = read_migrations(str(FOLDER))
        pending = {step.id for step in backend.to_apply(steps)}
        return [Step(step.id, step.id not in pending) for step in steps]


def up(config: Config, *, without_backup: bool = False) -> list[str]:
    """Apply what is pending; returns the names.

    Raises ConfigError in production when no backup younger than an hour lies in BACKUP_DIR.
    """
    _require_backup(config, without_backup)
    with _backend(config) as backend, backend.lock(timeout=30):
        steps = backend.to_apply(read_migrations(str(FOLDER)))
        backend.apply_migrations(steps)
        return [step.id for step in steps]


def down(config: Config, count: int, *, without_backup: bool = False) -> list[str]:
    """Take back the last `count` applied steps, and what they stored; returns the names.

    Raises ConfigError like `up`.
    """
    _require_backup(config, without_backup)
    with _backend(config) as backend, backend.lock(timeout=30):
        steps = backend.to_rollback(read_migrations(str(FOLDER)))[:count]
        backend.rollback_migrations(steps)
        return [step.id for step in steps]


def _require_backup(config: Config, without_backup: bool) -> None:
    if config.production and not without_backup:
        require_fresh_backup(config.backup_dir, time.time())


def require_fresh_backup(folder: str | None, now: float) -> None:
    """Raise ConfigError unless `folder` holds a pg_dump archive younger than an hour at `now` (Unix seconds)."""
    if not folder:
        raise ConfigError(["BACKUP_DIR: is not set, so no backup can be found; set it, or say --without-backup"])
    archives = [path for path in Path(folder).glob("*") if path.suffix != PART and path.is_file() and _is_archive(path)]
    newest_s = max((path.stat().st_mtime for path in archives), default=None)
    if newest_s is None:
        raise ConfigError([f"BACKUP_DIR: {folder} holds no pg_dump archive (custom format); make one first"])
    if now - newest_s > MAX_BACKUP_AGE_S:
        minutes = int((now - newest_s) / 60)
        raise ConfigError([f"BACKUP_DIR: the newest archive in {folder} is {minutes} minutes old; make a new one"])


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ARCHIVE_MAGIC)) == _ARCHIVE_MAGIC


def _backend(config: Config):  # type: ignore[no-untyped-def]  # yoyo has no types
    url = config.database_url.replace("postgres://", "postgresql://", 1)
    try:
        return get_backend(url)
    except psycopg2.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {str(error).splitlines()[0]}") from error
