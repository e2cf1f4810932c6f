"""New devices that wait to be let in: they have claimed a link and hear here what becomes of it.

Such a connection is nobody's yet: it is told one thing and closed. Who offered the link hears of each step as well.
Nodes learn of the steps from the log of commits, so it does not matter which node either device is connected to.
"""

from __future__ import annotations

import gevent
import msgspec
from gevent.queue import Full, Queue

from app import logs
from app.domain.links import LIFETIME_S
from app.errors import AppError, LinkExpired, Unavailable
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.hub import Hub
from app.realtime.joiner import part
from app.services.links import Links
from app.store.messages import LinkNews

MAX_ASKING = 200
"""Connections whose claim is being looked up; beyond it one must come again."""
DECIDED = ("confirmed", "refused")

log = logs.get("lobby")


class Lobby:
    """One per node."""

    def __init__(self, links: Links, hub: Hub) -> None:
        self._links = links
        self._hub = hub
        self._asking: Queue[tuple[Connection, str]] = Queue(maxsize=MAX_ASKING)
        self._waiting: dict[int, Connection] = {}

    def wait(self, conn: Connection, token: str) -> None:
        """This connection has claimed a link with `token`. Called in read callbacks."""
        try:
            self._asking.put_nowait((conn, token))
        except Full:
            conn.close(1013, "too many are waiting; come again")

    def forget(self, conn: Connection) -> None:
        """This connection is gone."""
        for link in [link for link, waiting in self._waiting.items() if waiting is conn]:
            del self._waiting[link]

    def run(self) -> None:
        """Look claims up for ever; a greenlet of its own."""
        while True:
            conn, token = self._asking.get()
            try:
                self._receive(conn, token)
            except AppError as error:
                part(conn, error)
            except Exception:
                log.exception("a claim could not be looked up")
                part(conn, Unavailable())

    def heed(self, news: LinkNews) -> None:
        """A link is in a new state: tell who waits for it, and who offered it."""
        if news.state in DECIDED:
            conn = self._waiting.pop(news.id, None)
            if conn is not None:
                _tell_and_close(conn, news.id, news.state)
            return
        offering = self._hub.session(news.device)
        if offering is not None and news.state == "claimed":
            frame = wire.frame(wire.LinkEvent(news.id, "claimed", **msgspec.json.decode(news.details)))
            self._hub.to_session("device", offering, [(frame, news.ts)])
        elif offering is not None and news.state == "completed":
            frame = wire.frame(wire.LinkEvent(news.id, "completed", device=news.new_device))
            self._hub.to_session("device", offering, [(frame, news.ts)])

    def _receive(self, conn: Connection, token: str) -> None:
        # Registered before it is asked again: a decision between the two is heard in one way or the other.
        link = self._links.waiting(token)
        before = self._waiting.get(link.id)
        if before is not None:
            before.close(4409, "this device connected anew")
        self._waiting[link.id] = conn
        link = self._links.waiting(token)
        if not conn.open:
            self.forget(conn)
        elif link.state in DECIDED:
            self._waiting.pop(link.id, None)
            _tell_and_close(conn, link.id, link.state)
        elif link.state == "completed":
            self._waiting.pop(link.id, None)
            conn.close(1000, "this link is completed")
        else:
            conn.send(wire.frame(wire.LinkEvent(link.id, "waiting", comparison=link.comparison)))
            gevent.spawn_later(LIFETIME_S, self._expire, link.id, conn)

    def _expire(self, link: int, conn: Connection) -> None:
        if self._waiting.get(link) is conn:
            del self._waiting[link]
            part(conn, LinkExpired())


def _tell_and_close(conn: Connection, link: int, state: str) -> None:
    conn.send(wire.frame(wire.LinkEvent(link, state)))
    conn.close(1000, f"this link is {state}")
