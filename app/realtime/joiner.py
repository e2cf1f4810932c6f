"""Bringing a device up to date when it connects, asks, or is let into a conversation.

Register first, read then: from the moment a session is subscribed the hub knows it, so whatever is
committed after a page was read reaches it through the hub, and whatever was committed before is in
the page. Between the two the hub's `caught_up` decides, without a switch of greenlets.

The work of a session is one `Work`, done in steps of one read each by a few greenlets that belong to
nobody: a session that has much to catch up with, or reads slowly, goes back to the end of the queue
and keeps no one waiting. Pages are sent only while little is queued, so they never count as slowness.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import gevent
from gevent.queue import Full, Queue

from app import logs
from app.domain.ids import ConversationId
from app.domain.log import Entry, Kind, Membership
from app.domain.people import Identity
from app.errors import AppError, DeviceRevoked, Unauthenticated, Unavailable
from app.metrics import Metrics
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.hub import Hub, Session
from app.services.messages import Messages
from app.services.tokens import WsToken
from app.store.messages import Want

WORKERS = 4
MAX_WAITING = 20_000
MAX_WANTS = 16
"""Conversations whose pages one step reads."""
PAGE_ROWS = 200
LOW_WATER_BYTES = 131_072
"""A session with more than this in its queue gets no further page yet."""
FULL_RETRY_S = 0.05
STUCK_S = 30.0
"""Who reads nothing of its pages for so long is closed like any slow reader."""
MAX_ASKED = 5_000

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
class Work:
    """What one session still has to be brought. `wants` is under way, keyed by (conversation, from_seq).

    `asked` waits to be planned: conversations and the seq to go on after; those in `entered` were let
    in by the hub, and only their current membership counts. `tell` says that `synced` is due when
    `wants` is done. `full_since` is when its queue was first found full, in monotonic seconds.
    """

    session: Session
    wants: dict[tuple[ConversationId, int], Want] = field(default_factory=dict)
    asked: dict[ConversationId, int] = field(default_factory=dict)
    entered: set[ConversationId] = field(default_factory=set)
    asked_by_client: bool = False
    tell: bool = False
    full_since: float | None = None


class Joiner:
    """One per node."""

    def __init__(self, messages: Messages, hub: Hub, metrics: Metrics, beat_s: int) -> None:
        self._beat_s = beat_s
        self._messages = messages
        self._hub = hub
        self._queue: Queue[Arrival | Work] = Queue(maxsize=MAX_WAITING)
        self._work: dict[Session, Work] = {}
        self._accepted = metrics.counter("messenger_ws_connects_total", "accepted")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        hub.let_in = self._let_in

    def put(self, arrival: Arrival) -> None:
        """Sign this connection in; called in read callbacks. When too many wait, it must come again."""
        try:
            self._queue.put_nowait(arrival)
        except Full:
            arrival.conn.close(1013, "too many are connecting; come again")

    def catch_up(self, session: Session, cursors: Mapping[ConversationId, int]) -> None:
        """Bring what lies after these cursors, then `synced`; called in read callbacks."""
        work = self._work_of(session)
        work.asked_by_client = True
        for conv, after in cursors.items():
            if len(work.asked) < MAX_ASKED or conv in work.asked:
                work.asked[conv] = min(after, work.asked.get(conv, after))

    def forget(self, session: Session) -> None:
        """This session is gone. Called in read callbacks."""
        self._work.pop(session, None)

    def run(self) -> None:
        """Work for ever; WORKERS greenlets run this."""
        while True:
            task = self._queue.get()
            conn = task.conn if isinstance(task, Arrival) else task.session.conn
            try:
                if isinstance(task, Arrival):
                    self._sign_in(task)
                else:
                    self._step(task)
            except AppError as error:
                self._part(conn, error)
            except Exception:
                log.exception("bringing a device up to date failed")
                self._part(conn, Unavailable())

    def _let_in(self, session: Session, conv: ConversationId, after: int) -> None:
        work = self._work_of(session)
        if conv not in work.asked:
            work.asked[conv] = after
            work.entered.add(conv)

    def _work_of(self, session: Session) -> Work:
        """The session's work, queued when it had none."""
        work = self._work.get(session)
        if work is None:
            work = self._work[session] = Work(session)
            self._again(work)
        return work

    def _again(self, work: Work) -> None:
        try:
            self._queue.put_nowait(work)
        except Full:
            self._part(work.session.conn, Unavailable("too many are catching up; come again"))

    def _sign_in(self, arrival: Arrival) -> None:
        identity, conn = arrival.identity, arrival.conn
        try:
            epoch, memberships = self._messages.join(identity, arrival.ws_token)
        except (Unauthenticated, DeviceRevoked):
            self._unauthenticated.add()
            raise
        session = Session(conn, identity.user, identity.device, identity.expires_at, time.time())
        # Before the hub knows the session, so that whatever it is let into meanwhile waits for these steps.
        work = self._work[session] = Work(session, tell=True)
        if not conn.open or not self._hub.attach(session):
            del self._work[session]
            return
        conn.session = session
        self._accepted.add()
        conn.send(wire.frame(wire.Welcome(identity.user, identity.device, epoch, self._beat_s, time.time())))
        cursors = arrival.cursors
        if arrival.epoch not in (None, epoch):
            conn.send(wire.frame(wire.Resync(epoch)))
            cursors = dict.fromkeys((m.conv for m in memberships), 0)
        # Read again now that the hub knows the session: it may have been let in or have left since.
        self._plan(work, self._messages.memberships(identity), cursors)
        self._step(work)

    def _step(self, work: Work) -> None:
        """Plan or send one round of pages, then finish or queue again."""
        conn = work.session.conn
        if not conn.open:
            self._work.pop(work.session, None)
        elif conn.queued_bytes > LOW_WATER_BYTES:
            self._wait_for_reader(work)
        else:
            work.full_since = None
            if work.wants:
                self._send_pages(work)
            elif work.asked or work.asked_by_client:
                self._plan_asked(work)
            if not work.wants and not work.asked and work.tell:
                work.tell = False
                conn.send(wire.frame(wire.Synced()))
            if work.wants or work.asked or work.asked_by_client:
                self._again(work)
            else:
                self._work.pop(work.session, None)

    def _wait_for_reader(self, work: Work) -> None:
        now = time.monotonic()
        work.full_since = work.full_since or now
        if now - work.full_since > STUCK_S:
            self._work.pop(work.session, None)
            work.session.conn.abort(4008)
        else:
            gevent.spawn_later(FULL_RETRY_S, self._again, work)

    def _plan_asked(self, work: Work) -> None:
        """Turn what is asked into wants."""
        session = work.session
        asked, entered = work.asked, work.entered
        work.asked, work.entered = {}, set()
        work.tell, work.asked_by_client = work.tell or work.asked_by_client, False
        # Signing in may have followed a conversation already that the hub let the session into meanwhile.
        followed = {conv for conv in entered if conv in session.convs and conv not in session.behind}
        identity = Identity(session.user, session.device, session.expires_at)
        memberships = [m for m in self._messages.memberships(identity) if m.conv in asked and m.conv not in followed]
        current = {m.conv for m in memberships if m.to_seq is None}
        for conv in [conv for conv in session.behind if conv in asked and conv not in current]:
            self._hub.unsubscribe(session, conv)
        # The log is read more than once: a row that says they joined may be older than their leaving.
        theirs = [m for m in memberships if m.to_seq is None or m.conv not in entered]
        self._plan(work, theirs, asked)

    def _plan(self, work: Work, memberships: list[Membership], cursors: Mapping[ConversationId, int]) -> None:
        """Subscribe to what is current and want what lies after the cursors."""
        for m in memberships if work.session.conn.open else ():
            # A cursor from the client wins over the stored one: it may have lost what it acknowledged.
            after = max(min(cursors.get(m.conv, m.cursor), m.head), m.from_seq - 1)
            if m.to_seq is None:
                self._hub.subscribe(work.session, m.conv)
            elif after >= m.to_seq:
                continue
            work.wants[m.conv, m.from_seq] = Want(m.conv, after, m.to_seq)

    def _send_pages(self, work: Work) -> None:
        """One read for some wants; those that are complete leave, the others move on.

        Of one conversation only the first: a stay that is past comes whole before the present one.
        """
        keys = list(islice(_first_of_each(work.wants), MAX_WANTS))
        entries = self._messages.pages([work.wants[key] for key in keys], PAGE_ROWS)
        for key in keys:
            want = work.wants[key]
            rows = [e for e in entries if e.conv == want.conv and want.after < e.seq <= (want.upto or e.seq)]
            sent = self._send_rows(work.session, want, rows)
            last = rows[sent - 1].seq if sent else want.after
            if want.upto is None and want.conv not in work.session.behind:
                # They left meanwhile: what is theirs up to that row, and after a return, must be planned anew.
                del work.wants[key]
                work.asked[want.conv] = min(last, work.asked.get(want.conv, last))
                work.entered.discard(want.conv)
            elif sent < len(rows):
                work.wants[key] = Want(want.conv, last, want.upto)
                return
            elif len(rows) < PAGE_ROWS and (
                want.upto is not None or self._hub.caught_up(work.session, want.conv, last)
            ):
                del work.wants[key]
            else:
                work.wants[key] = Want(want.conv, last, want.upto)

    def _send_rows(self, session: Session, want: Want, rows: list[Entry]) -> int:
        """Send rows while the queue is low and they are theirs; returns how many were sent."""
        for sent, row in enumerate(rows):
            if session.conn.queued_bytes > LOW_WATER_BYTES:
                return sent
            self._hub.to_session("catch_up", session, wire.entry_frame(row), row.ts)
            if want.upto is None and row.kind is Kind.LEFT and row.user == session.user:
                # They left after their memberships were read: nothing past this row is theirs.
                self._hub.unsubscribe(session, want.conv)
                return sent + 1
        return len(rows)

    def _part(self, conn: Connection, error: AppError) -> None:
        """Tell why, and close with the code that says whether coming again makes sense."""
        if conn.open:
            conn.send(wire.error_frame(error))
            conn.close(error.close_code or 1011, error.code)


def _first_of_each(
    wants: Mapping[tuple[ConversationId, int], Want],
) -> Iterator[tuple[ConversationId, int]]:
    """The key of the earliest stay in each conversation; they were planned in that order."""
    seen: set[ConversationId] = set()
    for key in wants:
        if key[0] not in seen:
            seen.add(key[0])
            yield key
