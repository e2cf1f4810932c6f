"""What is owed comes from the log, what is confirmed from the devices; both are counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ConversationId
from app.metrics import Metrics
from app.realtime.hub import Hub
from app.realtime.settlement import SETTLE_AFTER_S, Settlement
from tests.unit.app.test_hub import CONV, crowd, hub, live

T0 = 1000.0


def account() -> tuple[Hub, Settlement, Metrics]:
    registry, metrics = hub()
    return registry, Settlement(registry, metrics), metrics


def figures(metrics: Metrics) -> tuple[float, float]:
    return (
        metrics.counter("messenger_deliveries_settled_total").value,
        metrics.counter("messenger_deliveries_confirmed_total").value,
    )


def test_a_delivery_is_settled_after_its_time_and_not_before() -> None:
    registry, settlement, metrics = account()
    listener, _ = live(registry)
    settlement.owe(CONV, 1, 2, T0)
    settlement.acknowledged(listener.device, CONV, 1)
    settlement.settle(T0 + SETTLE_AFTER_S - 1)
    assert figures(metrics) == (0, 0)
    settlement.settle(T0 + SETTLE_AFTER_S)
    assert figures(metrics) == (2, 1), "row 2 was not acknowledged"


def test_every_listener_is_owed_and_who_went_away_is_left_out() -> None:
    registry, settlement, metrics = account()
    listeners = crowd(registry, 3)
    settlement.owe(CONV, 1, 1, T0)
    for listener, _ in listeners[:2]:
        settlement.acknowledged(listener.device, CONV, 1)
    gone, sink = listeners[2]
    registry.detach(gone)
    sink.closed_with = 1000
    settlement.settle(T0 + SETTLE_AFTER_S)
    assert figures(metrics) == (2, 2)


def test_rows_that_polls_tell_again_and_again_are_owed_once() -> None:
    registry, settlement, metrics = account()
    listener, _ = live(registry)
    for second in range(70):
        settlement.owe(CONV, 1, 1 + second // 10, T0 + second)
        settlement.acknowledged(listener.device, CONV, 1 + second // 10)
        settlement.settle(T0 + second)
    settlement.settle(T0 + 70 + SETTLE_AFTER_S)
    assert figures(metrics) == (7, 7)


def test_an_acknowledgement_is_kept_as_long_as_anything_waits_for_it() -> None:
    registry, settlement, metrics = account()
    listener, _ = live(registry)
    for seq in range(1, 101):
        now = T0 + seq * 1.7
        settlement.owe(CONV, seq, seq, now)
        settlement.acknowledged(listener.device, CONV, seq)
        settlement.settle(now)
    settlement.settle(T0 + 1000)
    assert figures(metrics) == (100, 100)


@given(st.integers(1, 100))
def test_an_acknowledgement_that_came_before_the_poll_counts(said_at: int) -> None:
    registry, settlement, metrics = account()
    listener, _ = live(registry)
    for tick in range(200):  # a second each, as `upkeep.settle` does it
        now = T0 + tick * 1.001
        if tick == said_at:
            settlement.acknowledged(listener.device, CONV, 1)
        settlement.settle(now)
        if tick == said_at:
            settlement.owe(CONV, 1, 1, now + 0.2)
    assert figures(metrics) == (1, 1)


def test_what_nobody_here_hears_is_not_owed_here() -> None:
    _, settlement, metrics = account()
    settlement.owe(ConversationId(7), 1, 5, T0)
    settlement.settle(T0 + SETTLE_AFTER_S)
    assert figures(metrics) == (0, 0)


def test_nothing_is_owed_to_probes() -> None:
    """The delivery SLI is the users'; probes have a ledger of their own."""
    registry, settlement, metrics = account()
    listener, _ = live(registry)
    listener.probe = True
    settlement.owe(CONV, 1, 2, T0)
    settlement.acknowledged(listener.device, CONV, 2)
    settlement.settle(T0 + SETTLE_AFTER_S)
    assert figures(metrics) == (0, 0)
