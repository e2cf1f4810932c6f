"""Revoked devices, written down outside the database: restoring a backup must not sign them in again.

A line of JSON each, in one file a node, flushed to the disk before the revocation is answered. Where the database says
that it was not revoked after all (the commit failed) the line stays: at a restore too much is better than too little.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from app.domain.ids import DeviceId


class RevocationJournal:
    """The file of one node in a folder that all may share."""

    def __init__(self, folder: Path, node: str) -> None:
        safe = "".join(ch if ch.isalnum() or ch in "-_." else "_" for ch in node)
        self._path = folder / f"{safe}.jsonl"

    def write(self, device: DeviceId, at: float) -> None:
        """A device is revoked, by the database's clock (Unix seconds). Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps({"device": device, "at": at}).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read(folder: Path) -> dict[DeviceId, float]:
    """Every revoked device of all nodes, and when it last was (Unix seconds). A torn last line is passed over.

    Raises ValueError naming file and line for anything else that is no entry, OSError.
    """
    revoked: dict[DeviceId, float] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                continue
            try:
                entry = json.loads(line)
                device, at = DeviceId(int(entry["device"])), float(entry["at"])
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{path}:{number}: no revocation") from None
            revoked[device] = max(at, revoked.get(device, 0.0))
    return revoked
