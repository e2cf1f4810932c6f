"""Acknowledgements of inboxes: none that comes while others are written is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from app.domain.ids import DeviceId
from app.realtime.bus import LocalBus
from app.realtime.postman import Postman
from app.services.inbox import Inboxes
from app.services.keys import Keys
from app.services.messages import Messages
from tests.unit.app.test_hub import hub, live


class Store:
    """Stands where the database would; `meanwhile` happens before it answers."""

    def __init__(self) -> None:
        self.written: list[dict[DeviceId, int]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def acknowledge(self, reached: Mapping[DeviceId, int], _epoch: str) -> None:
        self.written.append(dict(reached))
        self.meanwhile()


def test_what_is_acknowledged_while_others_are_written_is_written_next() -> None:
    registry, _ = hub()
    session, _ = live(registry, user=1, device=1)
    session.inbox = 9
    store = Store()
    postman = Postman(cast(Inboxes, store), cast(Keys, None), cast(Messages, None), registry, LocalBus())
    postman.acknowledged(session, 3)
    store.meanwhile = lambda: postman.acknowledged(session, 12)  # more than it was sent: only what it was counts
    postman.flush()
    store.meanwhile = lambda: None
    postman.flush()
    postman.flush()
    assert store.written == [{1: 3}, {1: 9}]
