"""A silence of Alertmanager, as on-call keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Silence:
    """`body` is what makes the same one again; `ends_at` as Alertmanager writes it (RFC 3339)."""

    id: str
    ends_at: str
    body: dict[str, Any]
