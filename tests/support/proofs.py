"""Proves rules with the real promtool: counters in, which alert fires at which second out.

The rules are the generator's own on a scaled profile, so that a window of an hour takes
minutes and promtool a second. Traffic is given as phases of events per scrape.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import yaml

from monitoring.generatedyaml import dump
from monitoring.maths.durations import Duration
from monitoring.rules.model import Group
from monitoring.rules.profile import Profile
from tests.support.binaries import require

SCRAPE_S = 5
PROFILE = Profile(Duration(SCRAPE_S), Duration(SCRAPE_S), 4, "https://runbooks.test/", "https://boards.test/")


@dataclass(frozen=True)
class Expected:
    """What an expression must give at a moment; None is no sample at all."""

    at_s: int
    expr: str
    value: float | None


def counter(*phases: tuple[int, float], start: float = 0) -> str:
    """A counter scraped every SCRAPE_S: phases of (scrapes, events per scrape), from `start`."""
    steps = [per_scrape for scrapes, per_scrape in phases for _ in range(scrapes)]
    return " ".join(f"{value:g}" for value in accumulate(steps, initial=start))


def firing(alert: str, **labels: str) -> str:
    """How many such alerts are firing; 0 when none."""
    matchers = ",".join(f'{k}="{v}"' for k, v in {"alertname": alert, "alertstate": "firing", **labels}.items())
    return f"count(ALERTS{{{matchers}}}) or vector(0)"


def prove(folder: Path, groups: Iterable[Group], series: Mapping[str, str], expected: Sequence[Expected]) -> None:
    """Run promtool; AssertionError with its output when an expectation does not hold."""
    (folder / "rules.yml").write_bytes(dump({"groups": [group.to_yaml() for group in groups]}))
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{SCRAPE_S}s",
        "tests": [
            {
                "interval": f"{SCRAPE_S}s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [_expectation(one) for one in expected],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test, sort_keys=False, width=10_000))
    done = subprocess.run(
        [require("promtool"), "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _expectation(one: Expected) -> dict[str, object]:
    samples = [] if one.value is None else [{"labels": "{}", "value": one.value}]
    return {"expr": one.expr, "eval_time": f"{one.at_s}s", "exp_samples": samples}
