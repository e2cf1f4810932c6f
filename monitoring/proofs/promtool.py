"""promtool's unit tests: how they are written, and running them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.errors import MissingProgramError
from monitoring.maths.durations import Duration
from monitoring.proofs.values import Values, notation

_TIMEOUT_S = 300


@dataclass(frozen=True)
class Expected:
    """What an expression must give at a moment: one value without labels, or None: no sample at all."""

    at_s: int
    expr: str
    value: float | None


@dataclass(frozen=True)
class UnitTest:
    """Series from time 0 on, a value a scrape (or in promtool's own notation), and what is expected of them."""

    name: str
    scrape_s: int
    series: Mapping[str, Values | str]
    expected: Sequence[Expected]


def unit_tests(rule_files: Sequence[str], evaluation_s: int, groups: Iterable[str], tests: Iterable[UnitTest]) -> Any:
    """A file of tests. `groups`: the names of the rule groups in the order in which they are evaluated."""
    return {
        "rule_files": list(rule_files),
        "evaluation_interval": str(Duration(evaluation_s)),
        # Without this, promtool takes the groups in a random order.
        "group_eval_order": list(groups),
        "tests": [_test(one) for one in tests],
    }


def run(test_file: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a file; its status is 0 when all hold. Raises MissingProgramError."""
    program = shutil.which("promtool")
    if program is None:
        raise MissingProgramError("promtool is missing; it comes with Prometheus (Debian: the package prometheus)")
    command = [program, "test", "rules", test_file.name]
    return subprocess.run(  # noqa: S603  a fixed program, a file of ours
        command, cwd=test_file.parent, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )


def _test(test: UnitTest) -> dict[str, Any]:
    return {
        "name": test.name,
        "interval": str(Duration(test.scrape_s)),
        "input_series": [
            {"series": name, "values": values if isinstance(values, str) else notation(values)}
            for name, values in test.series.items()
        ],
        "promql_expr_test": [_expectation(one) for one in test.expected],
    }


def _expectation(one: Expected) -> dict[str, Any]:
    wanted = [] if one.value is None else [{"labels": "{}", "value": one.value}]
    return {"expr": one.expr, "eval_time": str(Duration(one.at_s)), "exp_samples": wanted}
