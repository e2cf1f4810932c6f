"""What a check has to say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monitoring.errors import Mistake
from monitoring.lint.model import Severity


@dataclass(frozen=True)
class Subject:
    """Which part of a dashboard a finding concerns, and by which rule; for programs that read findings."""

    rule: str
    reason: str
    pointer: str
    board: str = ""
    panel: str | None = None
    panel_id: int | None = None
    ref_id: str | None = None


@dataclass(frozen=True, order=True)
class Finding:
    """One thing at one line; `doubt` is told but fails nothing."""

    file: str
    line: int
    message: str
    doubt: bool = False
    note: bool = False
    """Of what is doubtful: whether it is only worth knowing."""
    subject: Subject | None = field(default=None, compare=False)

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        if not self.doubt:
            return Severity.ERROR
        return Severity.NOTE if self.note else Severity.WARNING

    def __str__(self) -> str:
        word = "" if self.severity is Severity.ERROR else f"{self.severity.name.lower()}: "
        return f"{self.file}:{self.line}: {word}{self.message}"


def from_mistakes(mistakes: Iterable[Mistake], doubt: bool = False) -> list[Finding]:
    """What a reader noted."""
    return [Finding(one.file, one.line or 1, one.message, doubt) for one in mistakes]
