"""What the detection bench predicts and how it judges; its run on the real stack takes minutes and is no test."""

from __future__ import annotations

import pytest

from deploy.bench.detection import DIVISOR, Observation, Watch, faults, predicted_s, table
from monitoring.maths.durations import Duration
from monitoring.rules.profile import Profile
from monitoring.spec.reader import load
from tests.support.repository import SLOS

OBJECTIVES = {slo.name: slo for slo in load([SLOS])}
PROFILE = Profile(Duration(1), Duration(1), DIVISOR, "", "")
LATE_S = 2.0


@pytest.mark.parametrize(
    ("watch", "share", "expected"),
    [
        pytest.param(Watch("requests", "burnrate", 0, 0.1), 1.0, 0.144 * 120, id="all bad"),
        pytest.param(Watch("requests", "burnrate", 0, 0.1), 0.5, 0.288 * 120, id="half of it bad"),
        pytest.param(Watch("requests", "burnrate", 0, 0.1), 0.14, None, id="below the threshold"),
        pytest.param(Watch("delivery", "burnrate", 30, 0.1), 1.0, 30 + 0.0144 * 120, id="bad after half a minute"),
        pytest.param(Watch("connects", "burnrate", 0, 2), 1.0, 6, id="the third failure of the guard"),
        pytest.param(Watch("fanout-latency", "threshold", 0, 0.01), 1.0, 0.05 * 4 + 1, id="direct, held for a scrape"),
    ],
)
def test_the_prediction_is_the_closed_form_and_what_is_late_at_most(
    watch: Watch, share: float, expected: float | None
) -> None:
    found = predicted_s(OBJECTIVES[watch.slo], PROFILE, watch, share)
    assert found == (None if expected is None else pytest.approx(expected + LATE_S))


@pytest.mark.parametrize(
    ("observed", "verdict"),
    [(18.0, "as predicted"), (20.0, "as predicted"), (17.9, "OUTSIDE"), (22.1, "OUTSIDE"), (None, "did not fire")],
)
def test_the_verdict_is_one_scrape_and_one_evaluation(observed: float | None, verdict: str) -> None:
    one = Observation("requests", "page-quick", "sends are refused", 0.74, 20.0, observed, LATE_S)
    assert one.verdict == verdict
    assert verdict in table([one])


def test_every_slo_of_the_messenger_that_can_be_scaled_is_broken_once() -> None:
    watched = [watch.slo for fault in faults(20, 4) for watch in fault.watches if watch.kind == "burnrate"]
    assert sorted(watched) == sorted(OBJECTIVES.keys() - {"alert-pipeline"})
