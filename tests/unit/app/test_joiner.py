"""What waits to be brought is bounded, and a client whose wish is not taken is told."""

from __future__ import annotations

from typing import cast

from app.domain.ids import ConversationId, DeviceId, UserId
from app.realtime.connection import Connection
from app.realtime.hub import Session
from app.realtime.joiner import MAX_ASKED, Joiner
from app.services.messages import Messages
from tests.unit.app.test_arrivals import Sink
from tests.unit.app.test_hub import hub


def test_a_sync_beyond_the_bound_is_refused_as_a_whole() -> None:
    registry, _ = hub()
    joiner, sink = Joiner(cast(Messages, None), registry, lambda _session, _greeting: True), Sink()
    session = Session(cast(Connection, sink), UserId(1), DeviceId(1), 0.0, 0.0)
    registry.attach(session)
    joiner.catch_up(session, {ConversationId(n): 0 for n in range(1, MAX_ASKED + 1)})
    assert sink.sent == b""
    joiner.catch_up(session, {ConversationId(MAX_ASKED + 1): 0})
    assert b'"code":"rate_limited"' in sink.sent
    assert len(joiner._work[session].asked) == MAX_ASKED
