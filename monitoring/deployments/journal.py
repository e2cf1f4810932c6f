"""The journal of deploys: one JSON object a line, appended under a lock and forced to disk.

A line is whole or not there: a write that fails is cut off again, and a line that a
crash left without its end is closed by the next writer and skipped by every reader.
Readers take the tail only, so that on-call's scrape costs the same after years.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from monitoring.errors import CannotWriteError, OutOfRangeError

MAX_CHARS = 100
MAX_NOTE_CHARS = 500
TAIL_BYTES = 256 * 1024
CLOCKS_DIFFER_S = 60
"""A pipeline's clock may be ahead of ours by so much; a time after that lies in the future."""

_NAME = re.compile(r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARS)]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a service that began to run in an environment, and who brought it there."""

    at: datetime
    service: Text
    environment: Text
    version: Text
    author: Text
    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE_CHARS)] = ""


@dataclass(frozen=True)
class Journal:
    """What was read: deploys in the order of their times, and how many lines were none."""

    deployments: tuple[Deployment, ...]
    broken_lines: int


def checked(deployment: Deployment, now: float) -> Deployment:
    """The same with its time in UTC. Raises OutOfRangeError for what must not stand in the journal."""
    for field in ("service", "environment", "version", "author"):
        value = getattr(deployment, field)
        if len(value) > MAX_CHARS or not _NAME.fullmatch(value) or not value.isprintable():
            raise OutOfRangeError(
                f"{field}: expected 1 to {MAX_CHARS} printable characters without blanks around them, found {value!r}"
            )
    if len(deployment.note) > MAX_NOTE_CHARS or not (deployment.note or "x").isprintable():
        raise OutOfRangeError(f"note: expected at most {MAX_NOTE_CHARS} printable characters on one line")
    if deployment.at.tzinfo is None:
        raise OutOfRangeError("at: expected a time with its offset from UTC")
    if deployment.at.timestamp() > now + CLOCKS_DIFFER_S:
        raise OutOfRangeError(f"at: {deployment.at.isoformat()} lies in the future; a deploy is told when it happens")
    return msgspec.structs.replace(deployment, at=deployment.at.astimezone(UTC))


def append(path: Path, deployment: Deployment) -> None:
    """Add a checked deploy; it is on disk when this returns. Raises CannotWriteError."""
    line = msgspec.json.encode(deployment) + b"\n"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not os.fstat(descriptor).st_size:
                _sync(path.parent)  # or a crash may lose the new file's name, and all that is in it
            _append(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CannotWriteError(f"{path}: {error.strerror}") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line
    try:
        while line:
            line = line[os.write(descriptor, line) :]  # a full disk takes a part, and refuses the rest
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def read(path: Path, tail_bytes: int | None = TAIL_BYTES) -> Journal:
    """The deploys of the last `tail_bytes` (None: all); a file that is not there has none. Raises CannotWriteError."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(size - tail_bytes, 0) if tail_bytes is not None else 0
            # One byte earlier: whether the tail begins with a whole line is seen from what is before it.
            file.seek(max(start - 1, 0))
            content = file.read()
    except FileNotFoundError:
        return Journal((), 0)
    except OSError as error:
        raise CannotWriteError(f"{path}: {error.strerror}") from error
    return parse(content.partition(b"\n")[2] if start else content)


def parse(content: bytes) -> Journal:
    """Every line that is a deploy, by time; of equal times the later line is the later deploy."""
    found: list[Deployment] = []
    broken = 0
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            one = msgspec.json.decode(line, type=Deployment)
            found.append(checked(one, one.at.timestamp()))
        except (msgspec.DecodeError, OutOfRangeError, UnicodeDecodeError):
            broken += 1
    return Journal(tuple(sorted(found, key=lambda one: one.at)), broken)


def last(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """The latest of each service and environment."""
    latest: dict[tuple[str, str], Deployment] = {}
    for one in deployments:
        key = (one.service, one.environment)
        if key not in latest or one.at >= latest[key].at:
            latest[key] = one
    return tuple(latest[key] for key in sorted(latest))
