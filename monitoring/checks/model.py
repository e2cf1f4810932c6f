"""What a check has to say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.errors import Mistake


@dataclass(frozen=True, order=True)
class Finding:
    """One thing at one line; `doubt` is told but fails nothing."""

    file: str
    line: int
    message: str
    doubt: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {'warning: ' if self.doubt else ''}{self.message}"


def from_mistakes(mistakes: Iterable[Mistake], doubt: bool = False) -> list[Finding]:
    """What a reader noted."""
    return [Finding(one.file, one.line or 1, one.message, doubt) for one in mistakes]
