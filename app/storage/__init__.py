"""Where the bytes of attachments and avatars lie: a folder that all nodes share, or an S3 bucket.

Objects are named by what they hold, so they are written once and never change. An upload comes in parts, which any node
may take; it becomes an object only when its SHA-256 is what was promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

PART_BYTES = 8 * 1024 * 1024
"""Size of every part but the last. S3 takes none below 5 MiB."""
READ_BYTES = 256 * 1024


class Storage(Protocol):
    """All methods raise Unavailable when the storage cannot be reached or is full."""

    def begin(self) -> str:
        """A new upload; what it is called from now on."""

    def put_part(self, upload: str, number: int, data: bytes) -> None:
        """Store part `number` (from 1) of an upload; the same number again replaces it."""

    def finish(self, upload: str, parts: int, name: str, sha256: str) -> bool:
        """Make the object `name` of the first `parts` parts; False, and no object, when its digest is another one.

        The upload is gone afterwards in either case. Called again after a crash in its midst, it ends the same way.
        """

    def discard(self, upload: str) -> None:
        """Drop an upload; harmless when it is gone."""

    def write(self, name: str, data: bytes) -> None:
        """Store a small object at once; harmless when it is there."""

    def size(self, name: str) -> int | None:
        """Size of an object in bytes; None when there is none."""

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop` of an object, in pieces of READ_BYTES at most."""
