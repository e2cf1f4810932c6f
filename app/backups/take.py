"""`app backup`: an archive of the whole database, checked, with what it holds written beside it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2

from app import __version__, migrations
from app.backups import archive, programs
from app.backups.archive import Manifest
from app.config import Config
from app.errors import BackupError, ConfigError
from app.files import sync_folder
from app.store import backups

LOCK = ".lock"


def take(config: Config, now: float | None = None) -> tuple[Manifest, list[Manifest]]:
    """Take a backup into BACKUP_DIR; what it is, and which older ones were removed.

    Nothing stays of one that failed. Raises ConfigError, BackupError.
    """
    folder = folder_of(config)
    now = time.time() if now is None else now
    try:
        with _alone(folder):
            return _take(config, folder, now)
    except OSError as error:
        raise BackupError(f"{folder}: {error.strerror}") from None


def folder_of(config: Config) -> Path:
    """BACKUP_DIR, which is there. Raises ConfigError."""
    if not config.backup_dir:
        raise ConfigError(["BACKUP_DIR: is not set; it names the folder that archives are written to"])
    folder = Path(config.backup_dir)
    if not folder.is_dir():
        raise ConfigError([f"BACKUP_DIR: there is no folder {folder}"])
    return folder


def _take(config: Config, folder: Path, now: float) -> tuple[Manifest, list[Manifest]]:
    for left in folder.glob(f"messenger-*{migrations.PART}"):
        left.unlink()  # of a backup that was killed
    path = folder / archive.name_at(now)
    if path.exists():
        raise BackupError(f"{path}: exists already")
    part = path.with_name(path.name + migrations.PART)
    try:
        manifest = _dump(config, part, path.name, now)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    archive.write_manifest(folder, manifest)
    sync_folder(folder)
    with closing(_connect(config)) as conn, conn:
        backups.note(conn, now, manifest.file, manifest.size_bytes)
    old = archive.surplus(archive.manifests(folder), config.backup_keep)
    for one in old:
        archive.remove(folder, one)
    return manifest, old


def _dump(config: Config, part: Path, name: str, now: float) -> Manifest:
    with closing(_connect(config)) as conn, conn:
        epoch, postgresql = backups.epoch(conn), str(conn.info.parameter_status("server_version"))
        server = conn.server_version // 10_000
    steps = tuple(step.name for step in migrations.status(config) if step.applied)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # it holds everybody's data
    env = programs.environment(config.database_url)
    programs.run("pg_dump", "--format=custom", "--no-password", "--no-owner", f"--file={part}", server=server, env=env)
    programs.run("pg_restore", "--list", str(part), server=server, env={})
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return Manifest(
        name, now, part.stat().st_size, archive.sha256_of(part), epoch, steps, postgresql, __version__
    )  # fmt: skip


def _connect(config: Config) -> psycopg2.extensions.connection:
    try:
        return psycopg2.connect(config.database_url)
    except psycopg2.OperationalError as error:
        raise BackupError(f"the database cannot be reached: {str(error).splitlines()[0]}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other backup goes into the folder meanwhile. Raises BackupError."""
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"{folder}: another backup is being taken") from None
        yield
