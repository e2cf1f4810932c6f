"""Polls of the log: what must be heeded whatever else of a poll fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from app.domain.ids import DeviceId, UserId
from app.domain.log import Entry
from app.domain.people import DeviceEvent, DeviceEventKind
from app.errors import Unavailable
from app.realtime.lobby import Lobby
from app.realtime.postman import Postman
from app.realtime.reconciler import Reconciler
from app.realtime.settlement import Settlement
from app.services.messages import Messages
from app.store.messages import News, Want
from tests.unit.app.test_hub import CONV, hub, live


class Log:
    """Stands where the database would: polls say what `news` holds, pages cannot be read."""

    def __init__(self) -> None:
        self.news = News("1", "here")

    def position(self) -> str:
        return "1"

    def poll(self, _start: str) -> News:
        return self.news

    def pages(self, _wants: Sequence[Want], _limit: int) -> list[Entry]:
        raise Unavailable


def test_what_became_of_devices_is_heeded_although_pages_cannot_be_read() -> None:
    registry, metrics = hub()
    log = Log()
    postman, lobby = cast(Postman, None), cast(Lobby, None)  # no inbox and no link is news here
    settlement = Settlement(registry, metrics)
    reconciler = Reconciler(cast(Messages, log), registry, settlement, postman, lobby, metrics, lambda _: None)
    reconciler.start()
    _, other = live(registry, user=2, device=2)
    _, older = live(registry, user=1, device=1)
    event = DeviceEvent(10**9, DeviceId(1), UserId(1), DeviceEventKind.CONNECTED, 0.0)
    log.news = News("2", "here", fresh=[(CONV, 1, 1)], devices=[event])
    for _ in range(2):
        with pytest.raises(Unavailable):
            reconciler.poll()
        assert older.closed_with == 4409
        assert other.open
    assert metrics.counter("messenger_sessions_displaced_total").value == 1
