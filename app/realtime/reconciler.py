"""Reading the log of commits, so that what the bus lost is late by a poll and not lost.

Each poll learns what became visible at or past the position, then moves the position to the snapshot's
xmin: rows are read again while an older transaction is open, which is harmless because whoever is told drops
what is known. Rows of conversations come as heads only; those that a listener here lacks are read as pages.

A conversation whose entries wait for an earlier one is a gap. One that is older than GAP_S is read at once and
does not wait for the next poll.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

import gevent

from app import logs
from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.people import DeviceEvent, DeviceEventKind
from app.errors import AppError
from app.metrics import Metrics, path_of
from app.protocol import wire
from app.realtime.hub import Hub
from app.realtime.lobby import Lobby
from app.realtime.outlet import sequenced
from app.realtime.postman import Postman
from app.realtime.settlement import Settlement
from app.services.messages import Messages
from app.store.messages import News, Want

POLL_S = 0.2
GAP_S = 0.03
PAGE_ROWS = 200
MAX_WANTS = 100

log = logs.get("reconciler")


class Reconciler:
    """One per node."""

    def __init__(
        self,
        messages: Messages,
        hub: Hub,
        settlement: Settlement,
        postman: Postman,
        lobby: Lobby,
        metrics: Metrics,
        own_word: Callable[[ConversationId, UserId, int], tuple[DeviceId | None, int]],
        new_epoch: Callable[[str], None],
    ) -> None:
        """`own_word`: as `Cursors.own_word`. `new_epoch` hears the database's name at the start, and when another
        one answers in its place.
        """
        self._messages = messages
        self._hub = hub
        self._settlement = settlement
        self._postman = postman
        self._lobby = lobby
        self._own_word = own_word
        self._new_epoch = new_epoch
        self._recovered = {
            path: metrics.counter("messenger_fanout_recovered_total", path) for path in ("message", "read", "probe")
        }
        self._position = ""
        self._epoch = ""
        self._known_events: set[int] = set()
        self._known_lists: Collection[tuple[UserId, str]] = ()
        self._known_links: Collection[tuple[int, str]] = ()
        self._read_at = time.monotonic()
        metrics.gauge("messenger_log_lag_seconds").read = self.lag_s

    def lag_s(self) -> float:
        """Seconds since the log was last read to its end."""
        return time.monotonic() - self._read_at

    def start(self) -> None:
        """Take the position to poll from; before the first connection is accepted. Raises AppError."""
        self._position = self._messages.position()
        self.poll()

    def run(self) -> None:
        """Poll for ever; a greenlet of its own."""
        failing = False
        while True:
            gevent.sleep(POLL_S)
            try:
                self.poll()
                failing = False
            except AppError as error:
                if not failing:
                    log.warning("the log of commits cannot be read", error=error.message)
                failing = True

    def poll(self) -> None:
        """One poll. Raises AppError; then the next one begins where this one did."""
        news = self._messages.poll(self._position)
        if news.epoch != self._epoch:
            self._epoch = news.epoch
            self._known_events = set()  # the other database numbers its own
            self._known_lists = self._known_links = ()
            self._new_epoch(news.epoch)
        else:
            self._tell(news)
        self._position = news.position
        self._read_at = time.monotonic()

    def mend_gaps(self) -> None:
        """Read what entries wait for, for ever; a greenlet of its own."""
        while True:
            gevent.sleep(GAP_S)
            now = time.monotonic()
            due = [conv for conv, since in self._hub.gaps.items() if now - since >= GAP_S]
            if not due:
                continue
            try:
                self._read(self._holes(due))
            except AppError as error:
                log.warning("a gap cannot be read", error=error.message)
            for conv in due:  # what is still open has its next turn after as long again
                if conv in self._hub.gaps:
                    self._hub.gaps[conv] = time.monotonic()

    def _holes(self, convs: Sequence[ConversationId]) -> list[Want]:
        held = ((conv, self._hub.held_from(conv)) for conv in convs)
        return [Want(conv, gap[0], gap[1] - 1) for conv, gap in held if gap is not None]

    def _tell(self, news: News) -> None:
        self._heed_devices(news.devices)  # first: what follows reads pages, which may take long or fail
        for posted in news.inboxes:
            self._postman.wake(posted)
        self._heed_lists(news)
        self._heed_links(news)
        for conv, seq, user in news.joined:
            self._hub.let_in_at(conv, seq, user)
        heads = ((conv, last, self._hub.lacks(conv, last)) for conv, _first, last in news.fresh)
        self._read([Want(conv, head, last) for conv, last, head in heads if head is not None])
        now = time.monotonic()
        for conv, first, last in news.fresh:
            self._settlement.owe(conv, first, last, now)
        for conv, user, seq, ts in news.reads:
            frame = wire.frame(wire.ReadMark(conv, user, seq))
            if self._hub.read_mark(conv, user, seq, frame, ts, *self._own_word(conv, user, seq)):
                self._recovered[self._path("read", conv)].add()

    def _path(self, path: str, conv: ConversationId) -> str:
        return path_of(path, probe=self._hub.is_of_probes(conv))

    def _heed_devices(self, events: Sequence[DeviceEvent]) -> None:
        known, self._known_events = self._known_events, {event.id for event in events}
        for event in events:
            if event.id not in known:
                self._heed(event)

    def _heed(self, event: DeviceEvent) -> None:
        if event.kind is DeviceEventKind.CONNECTED:
            self._hub.connected_elsewhere(event.device, event.id)
        elif event.kind is DeviceEventKind.REVOKED:
            frame = wire.frame(wire.Device(event.device, "revoked"))
            self._hub.revoked(event.device, event.user, frame, event.ts)
        elif event.kind is DeviceEventKind.KEYS:
            self._postman.tell_keys(event.device, event.ts)
        else:
            frame = wire.frame(wire.Device(event.device, event.kind.name.lower()))
            self._hub.to_user("device", event.user, frame, event.ts)

    def _heed_lists(self, news: News) -> None:
        known, self._known_lists = self._known_lists, news.lists.keys()
        for (user, xid), change in news.lists.items():
            if (user, xid) not in known:
                frame = wire.frame(wire.DeviceLists([user], []))
                self._hub.to_contacts("keys", user, change.convs, frame, change.ts)

    def _heed_links(self, news: News) -> None:
        known, self._known_links = self._known_links, {(link.id, link.state) for link in news.links}
        for link in news.links:
            if (link.id, link.state) not in known:
                self._lobby.heed(link)

    def _read(self, wants: list[Want]) -> None:
        """Read ranges of logs and pass them on."""
        while wants:
            batch, wants = wants[:MAX_WANTS], wants[MAX_WANTS:]
            rows = self._messages.pages(batch, PAGE_ROWS)
            with self._hub.turn():
                for row in rows:
                    path = self._path("message", row.conv)
                    self._recovered[path].add(self._hub.deliver(sequenced(row)))
            last = {row.conv: row.seq for row in rows}  # in the order of seq
            for want in batch:
                reached = last.get(want.conv)
                if reached is not None and want.upto is not None and reached < want.upto:
                    wants.append(Want(want.conv, reached, want.upto))
