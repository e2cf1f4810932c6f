"""Archives in a folder: what they are called, what is written beside each, which ones are kept. Pure but for reading.

`messenger-20300101T020000Z.dump` is an archive of pg_dump in its custom format. `….json` beside it says what it is, and
is written last: an archive without one is not finished.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.errors import BackupError
from app.migrations import PART

NAME = re.compile(r"messenger-\d{8}T\d{6}Z\.dump")
_CHUNK_BYTES = 1024 * 1024


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds. Times in Unix seconds."""

    file: str
    taken_at: float
    size_bytes: int
    sha256: str
    epoch: str
    migrations: tuple[str, ...]
    postgresql: str
    version: str


def name_at(taken_at: float) -> str:
    """What an archive of that moment (Unix seconds) is called.

    >>> name_at(1893456000)
    'messenger-20300101T000000Z.dump'
    """
    return f"messenger-{datetime.fromtimestamp(taken_at, UTC):%Y%m%dT%H%M%SZ}.dump"


def manifests(folder: Path) -> list[Manifest]:
    """What is written beside finished archives of ours that are there, the oldest first. Raises BackupError."""
    ours = [path for path in folder.iterdir() if NAME.fullmatch(path.name) and _beside(path).exists()]
    found = map(manifest_of, ours)
    return sorted(found, key=lambda one: one.taken_at)


def manifest_of(archive: Path) -> Manifest:
    """What is written beside an archive. Raises BackupError."""
    path = _beside(archive)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}; without it nobody knows whether the archive is whole") from None
    except msgspec.DecodeError as error:
        raise BackupError(f"{path}: {error}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Beside its archive, at once and whole. Raises OSError."""
    path = _beside(folder / manifest.file)
    part = path.with_name(path.name + PART)
    with part.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def require_whole(archive: Path, manifest: Manifest) -> None:
    """The archive is what was written. Raises BackupError."""
    try:
        size_bytes, digest = archive.stat().st_size, sha256_of(archive)
    except OSError as error:
        raise BackupError(f"{archive}: {error.strerror}") from None
    if size_bytes != manifest.size_bytes:
        raise BackupError(f"{archive}: has {size_bytes} bytes, and {manifest.size_bytes} were written")
    if digest != manifest.sha256:
        raise BackupError(f"{archive}: its SHA-256 is not the one that was written: it was altered, or the disk fails")


def sha256_of(path: Path) -> str:
    """In hex. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def surplus(kept: Sequence[Manifest], keep: int) -> list[Manifest]:
    """Those, the oldest first, that are more than the `keep` newest; the newest is never among them.

    >>> [one.taken_at for one in surplus([Manifest("", at, 0, "", "", (), "", "") for at in (1, 2, 3)], 2)]
    [1]
    """
    return sorted(kept, key=lambda one: one.taken_at)[: -max(1, keep)]


def remove(folder: Path, manifest: Manifest) -> None:
    """An archive of ours and what is written beside it. Raises OSError."""
    if NAME.fullmatch(manifest.file):
        (folder / manifest.file).unlink(missing_ok=True)
        _beside(folder / manifest.file).unlink(missing_ok=True)


def _beside(archive: Path) -> Path:
    return archive.with_suffix(".json")
