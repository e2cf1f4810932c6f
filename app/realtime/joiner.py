"""Bringing a device up to date when it connects, asks, or is let into a conversation.

Register first, read then: from the moment a session is subscribed the hub knows it, so whatever is
committed after a page was read reaches it through the hub, and whatever was committed before is in
the page. Between the two the hub's `caught_up` decides, without a switch of greenlets.

A few workers take tasks from a queue; none belongs to a connection. A session has one worker at a
time: two that read pages of the same conversation would send its rows twice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Container, Mapping
from dataclasses import dataclass

import gevent
from gevent.queue import Full, Queue

from app import logs
from app.domain.ids import ConversationId
from app.domain.log import Entry, Kind, Membership
from app.domain.people import Identity
from app.errors import AppError, Unavailable
from app.metrics import Metrics
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.hub import Hub, Session
from app.services.messages import Messages
from app.services.tokens import WsToken
from app.store.messages import Want

WORKERS = 4
MAX_WAITING = 20_000
PAGE_ROWS = 200
LOW_WATER_BYTES = 131_072
"""Pages are sent only to who has read most of what came before."""
STUCK_S = 30.0
BEAT_S = 25

log = logs.get("joiner")


@dataclass(slots=True)
class Arrival:
    """A connection that showed a valid token and is to be signed in."""

    conn: Connection
    identity: Identity
    cursors: Mapping[ConversationId, int]
    epoch: str | None
    ws_token: WsToken | None = None


@dataclass(slots=True)
class CatchUp:
    """A live session that asked with `sync`, or was `let_in` to a conversation; it goes on after `cursors`."""

    session: Session
    cursors: Mapping[ConversationId, int]
    let_in: bool = False


class Joiner:
    """One per node."""

    def __init__(self, messages: Messages, hub: Hub, metrics: Metrics) -> None:
        self._messages = messages
        self._hub = hub
        self._queue: Queue[Arrival | CatchUp] = Queue(maxsize=MAX_WAITING)
        self._busy: dict[Connection, deque[CatchUp]] = {}
        self._accepted = metrics.counter("messenger_ws_connects_total", "accepted")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        hub.let_in = lambda session, conv, after: self.put(CatchUp(session, {conv: after}, let_in=True))

    def put(self, task: Arrival | CatchUp) -> None:
        """Take a task; called in read callbacks. When too many wait, the connection must come again."""
        try:
            self._queue.put_nowait(task)
        except Full:
            _conn_of(task).close(1013, "too many are connecting; come again")

    def run(self) -> None:
        """Work for ever; WORKERS greenlets run this."""
        while True:
            task = self._queue.get()
            conn = _conn_of(task)
            if isinstance(task, CatchUp) and conn in self._busy:
                self._busy[conn].append(task)
                continue
            waiting = self._busy[conn] = deque()
            try:
                self._do(task)
                while waiting and conn.open:
                    self._do(waiting.popleft())
            except AppError as error:
                _part(conn, error)
            except Exception:
                log.exception("bringing a device up to date failed")
                _part(conn, Unavailable())
            finally:
                del self._busy[conn]

    def _do(self, task: Arrival | CatchUp) -> None:
        if isinstance(task, Arrival):
            self._sign_in(task)
        else:
            self._catch_up(task)

    def _sign_in(self, arrival: Arrival) -> None:
        identity, conn = arrival.identity, arrival.conn
        session = Session(conn, identity.user, identity.device, identity.expires_at, time.time())
        try:
            epoch, memberships = self._messages.join(identity, arrival.ws_token)
        except AppError:
            self._unauthenticated.add()
            raise
        if not conn.open:
            return
        conn.session = session
        self._hub.attach(session)
        self._accepted.add()
        conn.send(wire.frame(wire.Welcome(identity.user, identity.device, epoch, BEAT_S, time.time())))
        same_epoch = arrival.epoch in (None, epoch)
        if not same_epoch:
            conn.send(wire.frame(wire.Resync(epoch)))
        cursors = arrival.cursors if same_epoch else dict.fromkeys((m.conv for m in memberships), 0)
        # The hub knows the session now; who was let into a conversation since `join` read is in here too.
        self._follow(session, self._messages.memberships(identity), cursors)
        conn.send(wire.frame(wire.Synced()))

    def _catch_up(self, task: CatchUp) -> None:
        session, cursors = task.session, task.cursors
        if task.let_in:
            # Signing in, which had the session before, may have followed the conversation already.
            cursors = {conv: after for conv, after in cursors.items() if conv in session.behind}
        memberships = self._memberships(session, cursors)
        if task.let_in:
            # The log is read more than once: a row that says they joined may be older than their leaving.
            memberships = [m for m in memberships if m.to_seq is None]
        self._follow(session, memberships, cursors)
        if not task.let_in:
            session.conn.send(wire.frame(wire.Synced()))

    def _memberships(self, session: Session, convs: Container[ConversationId]) -> list[Membership]:
        """The session's memberships in `convs`, read now; it hears no more of those it has left."""
        identity = Identity(session.user, session.device, session.expires_at)
        memberships = [m for m in self._messages.memberships(identity) if m.conv in convs]
        current = {m.conv for m in memberships if m.to_seq is None}
        for conv in [conv for conv in session.behind if conv in convs and conv not in current]:
            self._hub.unsubscribe(session, conv)
        return memberships

    def _follow(self, session: Session, memberships: list[Membership], cursors: Mapping[ConversationId, int]) -> None:
        """Subscribe to what is current, then send pages until the hub says that nothing is missing."""
        wants: dict[tuple[ConversationId, int], Want] = {}
        for m in memberships if session.conn.open else ():
            # A cursor from the client wins over the stored one: it may have lost what it acknowledged.
            after = max(min(cursors.get(m.conv, m.cursor), m.head), m.from_seq - 1)
            if m.to_seq is None:
                self._hub.subscribe(session, m.conv)
            elif after >= m.to_seq:
                continue
            wants[m.conv, m.from_seq] = Want(m.conv, after, m.to_seq)
        while wants and session.conn.open:
            self._send_pages(session, wants)
            self._wait_for_low_water(session)

    def _send_pages(self, session: Session, wants: dict[tuple[ConversationId, int], Want]) -> None:
        """One read for all wishes; those that are complete leave `wants`, the others move on."""
        order = list(wants)
        entries = self._messages.pages([wants[key] for key in order], PAGE_ROWS)
        for key in order:
            want = wants[key]
            rows = [e for e in entries if e.conv == want.conv and want.after < e.seq <= (want.upto or e.seq)]
            left = next((n for n, e in enumerate(rows, 1) if _has_left(session, want, e)), None)
            complete = len(rows) < PAGE_ROWS
            rows = rows[:left]
            self._hub.to_session("catch_up", session, ((wire.entry_frame(row), row.ts) for row in rows))
            last = rows[-1].seq if rows else want.after
            if left is not None:
                # They left after the memberships were read: nothing past that row is theirs, unless they came back.
                del wants[key]
                cursors = {want.conv: last}
                self._follow(session, self._memberships(session, cursors), cursors)
            elif complete and (want.upto is not None or self._hub.caught_up(session, want.conv, last)):
                del wants[key]
            else:
                wants[key] = Want(want.conv, last, want.upto)

    @staticmethod
    def _wait_for_low_water(session: Session) -> None:
        deadline = time.monotonic() + STUCK_S
        while session.conn.open and session.conn.queued_bytes > LOW_WATER_BYTES:
            if time.monotonic() > deadline:
                session.conn.abort(4008)
                return
            gevent.sleep(0.05)


def _conn_of(task: Arrival | CatchUp) -> Connection:
    return task.conn if isinstance(task, Arrival) else task.session.conn


def _has_left(session: Session, want: Want, entry: Entry) -> bool:
    return want.upto is None and entry.kind is Kind.LEFT and entry.user == session.user


def _part(conn: Connection, error: AppError) -> None:
    """Tell why, and close with the code that says whether coming again makes sense."""
    if conn.open:
        conn.send(wire.frame(wire.ErrorEvent(error.code, error.message)))
        conn.close(error.close_code or 1011, error.code)
