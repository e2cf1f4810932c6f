"""Reading specs for a command: strictly, or leniently with what is doubtful told as warnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitoring.errors import Mistake
from monitoring.spec import reader
from monitoring.spec.model import Slo


def read(paths: Sequence[Path], *, lenient: bool = False) -> tuple[tuple[Slo, ...], tuple[Mistake, ...]]:
    """Every SLO by name, and the warnings. Raises SpecError."""
    lenient_reader = getattr(reader, "read", None)
    if lenient_reader is None:
        return reader.load(paths), ()
    found = lenient_reader(paths, strict=not lenient)
    return tuple(found.slos), tuple(found.warnings)
