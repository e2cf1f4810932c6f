"""Polls of the log: what must be heeded whatever else of a poll fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import gevent
import pytest

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.log import Entry
from app.domain.people import DeviceEvent, DeviceEventKind
from app.errors import Unavailable
from app.metrics import READ_SYNC_SLO_S, Metrics
from app.realtime.cursors import WATCH_S, Cursors
from app.realtime.hub import Hub
from app.realtime.lobby import Lobby
from app.realtime.outlet import Outlet
from app.realtime.postman import Postman
from app.realtime.reconciler import Reconciler
from app.realtime.settlement import Settlement
from app.services.messages import Messages
from app.store.messages import News, Want
from tests.unit.app.test_hub import CONV, Sink, hub, live

OwnWord = Callable[[ConversationId, UserId, int], tuple[DeviceId | None, int]]


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


def reconciler_of(log: Log, registry: Hub, metrics: Metrics, own_word: OwnWord) -> Reconciler:
    postman, lobby = cast(Postman, None), cast(Lobby, None)  # no inbox and no link is news here
    settlement = Settlement(registry, metrics)
    return Reconciler(cast(Messages, log), registry, settlement, postman, lobby, metrics, own_word, lambda _epoch: None)


def test_what_became_of_devices_is_heeded_although_pages_cannot_be_read() -> None:
    registry, metrics = hub()
    log = Log()
    reconciler = reconciler_of(log, registry, metrics, lambda *_: (None, 0))
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


def test_an_overdue_marker_that_a_poll_tells_before_this_nodes_own_word_is_owed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sink, "send", lambda *_: True)
    registry, metrics = hub()
    phone, _ = live(registry, user=1, device=1)
    live(registry, user=1, device=2)
    log = Log()
    cursors = Cursors(cast(Messages, log), cast(Outlet, registry), metrics)
    reconciler = reconciler_of(log, registry, metrics, cursors.own_word)
    reconciler.start()
    said_at = time.time() - READ_SYNC_SLO_S - 1
    cursors.read(phone, CONV, 7, said_at)
    watcher = gevent.spawn(cursors.watch)
    gevent.sleep(2 * WATCH_S)
    watcher.kill()
    owed = metrics.counter("messenger_fanout_owed_total", "read_sync")
    assert owed.value == 1
    assert cursors.own_word(CONV, UserId(1), 6) == (None, 0)  # another node's, of an earlier row
    log.news = News("2", "here", reads=[(CONV, UserId(1), 7, said_at)])
    reconciler.poll()
    assert owed.value == 1
    assert cursors.own_word(CONV, UserId(1), 7) == (DeviceId(1), 0)  # what was counted is given out once
