"""A folder that all nodes share (one machine, or a network file system with atomic renames).

Files are written under another name, synced, and renamed: what has its name is whole. The event loop never waits for
the disk: every call goes to its thread pool.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from gevent import get_hub

from app.errors import Unavailable
from app.files import sync_folder
from app.storage import READ_BYTES

T = TypeVar("T")


class DiskStorage:
    """Objects under `folder`/objects, uploads under `folder`/uploads."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._uploads = folder / "uploads"

    def begin(self) -> str:
        """A new upload."""
        upload = uuid.uuid4().hex
        _aside(lambda: (self._uploads / upload).mkdir(parents=True))
        return upload

    def put_part(self, upload: str, number: int, data: bytes) -> None:
        """Store a part."""
        _aside(lambda: _write(self._uploads / upload / str(number), data))

    def finish(self, upload: str, parts: int, name: str, sha256: str) -> bool:
        """Join the parts when they are what was promised."""
        return _aside(lambda: self._join(self._uploads / upload, parts, self._path(name), sha256))

    def discard(self, upload: str) -> None:
        """Drop an upload."""
        _aside(lambda: shutil.rmtree(self._uploads / upload, ignore_errors=True))

    def write(self, name: str, data: bytes) -> None:
        """Store an object."""
        _aside(lambda: _write(self._path(name), data))

    def size(self, name: str) -> int | None:
        """Size of an object."""
        return _aside(lambda: _size(self._path(name)))

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """A range of an object."""
        path, at = self._path(name), start
        while at < stop:
            piece = _aside(lambda at=at: _read(path, at, min(READ_BYTES, stop - at)))  # type: ignore[misc]
            if not piece:
                raise Unavailable("a stored object is shorter than it was")
            yield piece
            at += len(piece)

    def _path(self, name: str) -> Path:
        # Spread, so that no folder has millions of entries. Names are ours: digests and sizes.
        return self._objects / name[:2] / name

    @staticmethod
    def _join(folder: Path, parts: int, target: Path, sha256: str) -> bool:
        if not folder.exists() and target.exists():
            return True  # it was joined, and the process died before it could say so
        digest = hashlib.sha256()
        whole = folder / "whole"
        with whole.open("wb") as file:
            for number in range(1, parts + 1):
                with (folder / str(number)).open("rb") as part:
                    while piece := part.read(READ_BYTES):
                        digest.update(piece)
                        file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        fits = digest.hexdigest() == sha256
        if fits:
            target.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(target)
            sync_folder(target.parent)
        shutil.rmtree(folder)
        return fits


def _aside(work: Callable[[], T]) -> T:
    """Do `work` in a thread. Raises Unavailable for whatever the disk has against it."""
    try:
        result: T = get_hub().threadpool.apply(work)
    except OSError as error:
        raise Unavailable(f"the media folder cannot be used: {error.strerror}") from error
    return result


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _read(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)
