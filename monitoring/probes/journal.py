"""The prober's own record of every canary and its end, on its disk: PostgreSQL and Prometheus may be away.

Lines of JSON in files of bounded size, each written with one call, so a kill leaves whole lines (a line that a power
cut tore is passed over). What was under way when a prober died is ended by the next one as `abandoned`: that is the
prober's fault, and no promise of the messenger was broken.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

FILE_BYTES = 8 * 1024 * 1024
FILES = 40
"""About 320 MiB, some three million canaries; the oldest file goes first."""

ABANDONED, STARVED = "abandoned", "starved"
PROBERS_OWN = (ABANDONED, STARVED)
"""Ends that say nothing of the messenger: the prober died meanwhile, or did not run when the canary came."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: a canary was `sent`, came to its `end`, or had something else `odd` about it.

    `at` in Unix seconds: of the intended send, or of the end. `latency_s` where it arrived in time.
    """

    kind: Literal["sent", "end", "odd"]
    id: str
    at: float
    outcome: str = ""
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where somebody has read: the number of a file, and bytes in it."""

    file: int = 0
    offset: int = 0


class Journal:
    """The files of one prober in a folder of its own. Thread-safe."""

    def __init__(self, folder: Path, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        """Opens or makes the folder; whoever writes has it alone."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._file_bytes, self._files = folder, file_bytes, files
        self._lock = threading.Lock()
        self._number = max((number for number, _ in numbered(folder)), default=0)
        # A torn last line stays alone: the next file begins with a whole one.
        self._open_next()

    def write(self, entry: Entry) -> None:
        """Append one line. Raises OSError."""
        line = msgspec.json.encode(entry) + b"\n"
        with self._lock:
            if os.fstat(self._descriptor).st_size + len(line) > self._file_bytes:
                os.close(self._descriptor)
                self._open_next()
            os.write(self._descriptor, line)

    def close(self) -> None:
        """Put everything on the disk."""
        with self._lock:
            os.fsync(self._descriptor)
            os.close(self._descriptor)

    def _open_next(self) -> None:
        self._number += 1
        path = self.folder / f"{self._number:08}.jsonl"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, old in numbered(self.folder):
            if number <= self._number - self._files or (number < self._number and old.stat().st_size == 0):
                old.unlink()


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The journal's files by their numbers, oldest first."""
    return sorted((int(path.stem), path) for path in folder.glob("*.jsonl") if path.stem.isdigit())


def read(folder: Path, after: Position = Position()) -> Iterator[tuple[Entry, Position]]:
    """Every whole line past a position, and the position after it."""
    for number, path in numbered(folder):
        if number < after.file:
            continue
        with path.open("rb") as file:
            file.seek(after.offset if number == after.file else 0)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # still being written, or torn
                try:
                    yield msgspec.json.decode(line, type=Entry), Position(number, file.tell())
                except msgspec.DecodeError:
                    continue


def unfinished(folder: Path) -> dict[str, float]:
    """Canaries without an end: id → when they were to be sent."""
    waiting: dict[str, float] = {}
    for entry, _ in read(folder):
        if entry.kind == "sent":
            waiting[entry.id] = entry.at
        elif entry.kind == "end":
            waiting.pop(entry.id, None)
    return waiting
