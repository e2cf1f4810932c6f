"""SLO specs: read, and turned into rules, whose queries must parse and whose alerts must make sense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from monitoring.checks.model import Finding, from_mistakes
from monitoring.errors import Mistake, OutOfRangeError, PromqlError, SpecError
from monitoring.paths import shown
from monitoring.promql import parse
from monitoring.rules.build import slo_file
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo
from monitoring.specs import read


def check(paths: Sequence[Path], profile: Profile, *, lenient: bool) -> tuple[list[Finding], tuple[Slo, ...]]:
    """Everything wrong with spec files, and the SLOs that could be read.

    They are one set: references and duplicates go across files. When some cannot be
    read, the others are judged without them: one mistake shall not hide the next.
    """
    found: list[Finding] = []
    bad: set[str] = set()
    slos: tuple[Slo, ...] = ()
    warnings: tuple[Mistake, ...] = ()
    try:
        slos, warnings = read(paths, lenient=lenient)
    except SpecError as error:
        found += from_mistakes(error.mistakes)
        bad = {mistake.file for mistake in error.mistakes}
    if bad:
        with suppress(SpecError):  # they may refer to what is in the bad ones
            slos, warnings = read([path for path in paths if shown(path) not in bad], lenient=lenient)
    found += from_mistakes(warnings, doubt=True)
    return [*found, *(finding for slo in slos for finding in _rules(slo, profile))], slos


def _rules(slo: Slo, profile: Profile) -> Iterator[Finding]:
    try:
        rules = slo_file(slo, profile).rules()
    except SpecError as error:
        yield from from_mistakes(error.mistakes)
        return
    except OutOfRangeError as error:
        yield Finding(slo.file, slo.line, f"{slo.name}: {error}")
        return
    for rule in rules:
        try:
            parse(rule.expr)
        except PromqlError as error:
            yield Finding(slo.file, slo.line, f"{slo.name}: its rules do not parse: {' '.join(str(error).split())}")
            return
