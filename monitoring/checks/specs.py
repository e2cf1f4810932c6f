"""SLO specs: read, and turned into rules, whose queries must parse and whose alerts must make sense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from monitoring.checks.model import Finding, from_mistakes
from monitoring.errors import OutOfRangeError, PromqlError, SpecError
from monitoring.paths import shown
from monitoring.promql import parse
from monitoring.rules.build import slo_file
from monitoring.rules.profile import Profile
from monitoring.spec.model import Slo
from monitoring.specs import read


def check(paths: Sequence[Path], profile: Profile, *, lenient: bool) -> list[Finding]:
    """Everything wrong with spec files, read as one set: references and duplicates go across files."""
    if not paths:
        return []
    try:
        slos, warnings = read(paths, lenient=lenient)
    except SpecError as error:
        return [*from_mistakes(error.mistakes), *_rest(paths, error, profile, lenient)]
    return [*from_mistakes(warnings, doubt=True), *(finding for slo in slos for finding in _rules(slo, profile))]


def _rest(paths: Sequence[Path], error: SpecError, profile: Profile, lenient: bool) -> list[Finding]:
    """What can be said of the files that were read: one mistake shall not hide the next."""
    bad = {mistake.file for mistake in error.mistakes}
    good = [path for path in paths if shown(path) not in bad]
    try:
        slos, warnings = read(good, lenient=lenient) if good else ((), ())
    except SpecError:  # they refer to what is in the others
        return []
    return [*from_mistakes(warnings, doubt=True), *(finding for slo in slos for finding in _rules(slo, profile))]


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
