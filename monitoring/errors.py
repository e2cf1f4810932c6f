"""What can go wrong in the platform, in one tree.

Everything a user can mend is an `InputError`: it carries every mistake found, each
with its file and line, and ends the command with status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class MonitoringError(Exception):
    """The root; the command line prints it without a traceback."""

    exit_status = 2


class OutOfRangeError(MonitoringError, ValueError):
    """A number outside the bounds in which a formula means something."""


class PromqlError(MonitoringError, ValueError):
    """A query that does not parse, or is not of the form that was asked for."""


class OpaqueError(PromqlError):
    """A query that Prometheus understands and our own evaluation does not."""


class BoardError(MonitoringError):
    """A dashboard that contradicts itself: a grid too wide, two panels of one key."""


class MissingProgramError(MonitoringError):
    """A program that a command starts is not on this machine."""


class CannotWriteError(MonitoringError):
    """An output folder or file that cannot be read or written."""


class PrometheusError(MonitoringError):
    """A Prometheus that was asked and gave no answer that can be used."""

    exit_status = 3


class UnreachableError(PrometheusError):
    """It did not answer at all, or only that it cannot now."""


@dataclass(frozen=True)
class Mistake:
    """One thing to mend: where it stands (None: the file as a whole), and what was expected there."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.line is None else f"{self.file}:{self.line}: {self.message}"


class InputError(MonitoringError):
    """Files that a person wrote and must mend; every mistake is reported at once."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda m: (m.file, m.line or 0, m.message)))
        super().__init__("\n".join(map(str, self.mistakes)))


class ConfigError(InputError):
    """monitoring.yaml is wrong."""


class SpecError(InputError):
    """An SLO spec is wrong."""
