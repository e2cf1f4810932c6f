"""Who stands for a checklist: five roles, each signs what was found, by name and on a date.

A signature holds the digest of what was signed, so that one under an older run is not taken for one under this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.errors import MonitoringError
from monitoring.files import replace

ROLES: Mapping[str, str] = {
    "qa": "QA Team: all manual tests passed",
    "performance": "Performance Team: load tests meet targets",
    "devops": "DevOps Team: infrastructure stable",
    "security": "Security Team: encryption verified",
    "product": "Product Owner: feature approved for release",
}
MAX_NAME = 100


class SigningError(MonitoringError):
    """The signature cannot be taken; nothing was written."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One name under one run; `at` is an RFC 3339 time."""

    role: str
    name: str
    at: str
    digest: str


def digest(run: Mapping[str, Any]) -> str:
    """What is signed: the SHA-256 of the run, without its signatures, in one way of writing JSON."""
    signed = {key: value for key, value in run.items() if key != "signatures"}
    return hashlib.sha256(json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sign(run: Mapping[str, Any], role: str, name: str, now: datetime) -> dict[str, Any]:
    """The run with one more signature, in the place of an earlier one of that role. Raises SigningError."""
    if role not in ROLES:
        raise SigningError(f"role {role!r}: expected one of {', '.join(ROLES)}")
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise SigningError(f"name: 1 to {MAX_NAME} printable characters")
    others = [one for one in run.get("signatures", []) if one["role"] != role]
    mine = Signature(role, name, now.isoformat(timespec="seconds"), digest(run))
    order = list(ROLES)
    return {**run, "signatures": sorted([*others, asdict(mine)], key=lambda one: order.index(one["role"]))}


def valid(run: Mapping[str, Any]) -> Sequence[Signature]:
    """The signatures that are under this run as it is."""
    now = digest(run)
    return [Signature(**one) for one in run.get("signatures", []) if one["digest"] == now]


def load(path: Path) -> dict[str, Any]:
    """A run that `verify` wrote. Raises SigningError naming the file."""
    try:
        run = json.loads(path.read_bytes())
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SigningError(f"{path}: not JSON: {error}") from None
    if not isinstance(run, dict) or not isinstance(run.get("parts"), list):
        raise SigningError(f"{path}: not a run of verify: no `parts`")
    return run


def save(path: Path, run: Mapping[str, Any]) -> None:
    """Write it whole or not at all. Raises CannotWriteError."""
    replace(path, (json.dumps(run, indent=2, ensure_ascii=False) + "\n").encode())
