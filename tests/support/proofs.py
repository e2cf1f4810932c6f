"""Proves rules with the real promtool: counters in, which alert fires at which second out.

The rules are the generator's own on a scaled profile, so that a window of an hour takes
minutes and promtool a second. Traffic is given as phases of events per scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monitoring.generatedyaml import dump
from monitoring.maths.durations import Duration
from monitoring.proofs import promtool, values
from monitoring.proofs.promtool import Expected, UnitTest, unit_tests
from monitoring.rules.model import Group
from monitoring.rules.profile import Profile
from tests.support.binaries import require

__all__ = ["PROFILE", "SCRAPE_S", "Expected", "UnitTest", "counter", "firing", "prove", "prove_all"]

SCRAPE_S = 5
PROFILE = Profile(Duration(SCRAPE_S), Duration(SCRAPE_S), 4, "https://runbooks.test/", "https://boards.test/")


def counter(*phases: tuple[int, float], start: float = 0) -> str:
    """A counter scraped every SCRAPE_S: phases of (scrapes, events per scrape), from `start`."""
    return values.notation(values.counter(phases, start))


def firing(alert: str, **labels: str) -> str:
    """How many such alerts are firing; 0 when none."""
    matchers = ",".join(f'{k}="{v}"' for k, v in {"alertname": alert, "alertstate": "firing", **labels}.items())
    return f"count(ALERTS{{{matchers}}}) or vector(0)"


def prove(folder: Path, groups: Iterable[Group], series: Mapping[str, str], expected: Sequence[Expected]) -> None:
    """Run promtool; AssertionError with its output when an expectation does not hold."""
    prove_all(folder, groups, [UnitTest("", SCRAPE_S, series, expected)])


def prove_all(folder: Path, groups: Iterable[Group], tests: Sequence[UnitTest]) -> None:
    """Several stories under the same rules, each from time 0 on, in one run of promtool."""
    require("promtool")
    every = list(groups)
    (folder / "rules.yml").write_bytes(dump({"groups": [group.to_yaml() for group in every]}))
    file = folder / "test.yml"
    file.write_bytes(dump(unit_tests(["rules.yml"], SCRAPE_S, [group.name for group in every], tests)))
    done = promtool.run(file)
    assert done.returncode == 0, done.stdout + done.stderr
