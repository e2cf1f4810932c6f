"""The linter finds every seeded defect where it lies, and flags nothing that is right."""

from __future__ import annotations

import pytest

from tests.scorecard.judge import Verdict, defects, mixtures, right_ones


@pytest.mark.parametrize("verdict", [*defects(), *mixtures(), *right_ones()], ids=lambda verdict: verdict.name)
def test_what_is_wrong_is_found_and_nothing_else(verdict: Verdict) -> None:
    assert verdict.missed == []
    assert verdict.extra == []


def test_there_are_enough_to_mean_something() -> None:
    assert len(defects()) >= 40
    assert len(mixtures()) >= 10
    assert len(right_ones()) >= 25
