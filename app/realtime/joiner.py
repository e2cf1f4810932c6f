"""Bringing a device up to date when it connected, asks, or was let into a conversation.

Register first, read then: from the moment a session is subscribed the hub knows it, so whatever is
committed after a page was read reaches it through the hub, and whatever was committed before is in
the page. Between the two the hub's `caught_up` decides, without a switch of greenlets.

The work of a session is one `Work`, done in steps of one read each by a few greenlets that belong to
nobody: a session that has much to catch up with, or reads slowly, goes back to the end of the queue
and keeps no one waiting. Pages are sent only while little is queued, so they never count as slowness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import gevent
from gevent.queue import Full, Queue

from app import logs
from app.domain.ids import ConversationId
from app.domain.log import Entry, Kind, Membership
from app.errors import AppError, InvalidRequest, TooMany, Unavailable
from app.protocol import wire
from app.realtime.connection import Connection
from app.realtime.hub import Hub, Overheard, Session
from app.services.messages import Messages
from app.store.messages import Want

WORKERS = 4
MAX_WAITING = 20_000
MAX_WANTS = 16
"""Conversations whose pages one step reads."""
PAGE_ROWS = 200
MAX_SEND_BYTES = 32_768
"""Rows of a page that are sent together."""
LOW_WATER_BYTES = 131_072
"""A session with more than this in its queue gets no further page yet."""
FULL_RETRY_S = 0.05
MAX_ASKED = 5_000


@dataclass(slots=True)
class Greeting:
    """What a device that has just signed in must be told before `synced`, besides the logs of its conversations.

    `since`: the position before which it has heard everything, if it named one. `keys`: it may have keys to count.
    """

    since: str | None
    keys: bool


Wants = dict[tuple[ConversationId, int], Want]
"""What a session is still to be sent, by (conversation, first seq of the stay)."""

log = logs.get("joiner")


@dataclass(slots=True)
class Work:
    """What one session still has to be brought. `wants` is under way.

    `asked` waits to be planned: conversations and the seq to go on after; those in `entered` were let
    in by the hub, and only their current membership counts. `tell` says that `synced` is due when
    `wants` is done, with the `position` of signing in. `greeting` comes before all.
    """

    session: Session
    wants: Wants = field(default_factory=dict)
    asked: dict[ConversationId, int] = field(default_factory=dict)
    entered: set[ConversationId] = field(default_factory=set)
    asked_by_client: bool = False
    tell: bool = False
    greeting: Greeting | None = None
    position: str | None = None


Greet = Callable[[Session, Greeting], bool]
"""One step of telling a device what it missed besides its conversations; False when there is more to tell."""


class Joiner:
    """One per node."""

    def __init__(self, messages: Messages, hub: Hub, greet: Greet) -> None:
        self._messages = messages
        self._hub = hub
        self._greet = greet
        self._queue: Queue[Work] = Queue(maxsize=MAX_WAITING)
        self._work: dict[Session, Work] = {}
        hub.let_in = self._let_in

    def enter(
        self,
        session: Session,
        membership: Membership,
        cursor: int | None,
        wants: Wants,
        heard: Overheard,
    ) -> None:
        """Let a session hear what one membership shows it; what it lacks is added to `wants`.

        `cursor` is what the client named, else the stored one counts: it may have lost what it acknowledged.
        A past stay is wanted to its end. `heard` is what was told since the membership was read.
        """
        after = max(membership.cursor if cursor is None else cursor, membership.from_seq - 1)
        conv = membership.conv
        if membership.to_seq is not None:
            if after < membership.to_seq:
                wants[conv, membership.from_seq] = Want(conv, after, membership.to_seq)
            return
        after = min(after, membership.head)  # a stored cursor may be from another database; the hub's head must not be
        past_is_lacking = next(reversed(wants), (None, 0))[0] == conv  # memberships come in order
        complete = after >= membership.head and not heard.goes_beyond(conv, membership.head)
        if complete and not past_is_lacking and self._hub.join(session, conv, membership.head):
            return
        self._hub.subscribe(session, conv, membership.head)
        wants[conv, membership.from_seq] = Want(conv, after, None)

    def bring(self, session: Session, wants: Wants, greeting: Greeting | None, position: str) -> None:
        """Send a session that has just signed in what it lacks, then `synced` with the log's `position`."""
        work = self._work_of(session)
        work.wants.update(wants)
        work.greeting, work.position = greeting, position
        work.tell = True

    def catch_up(self, session: Session, cursors: Mapping[ConversationId, int]) -> None:
        """Bring what lies after these cursors, then `synced`; called in read callbacks.

        When too many conversations wait already, none of these is taken and the client is told.
        """
        work = self._work_of(session)
        if len(work.asked) + len(cursors) > MAX_ASKED:
            session.conn.send(wire.error_frame(TooMany("too many conversations wait; sync again after `synced`")))
            return
        work.asked_by_client = True
        for conv, after in cursors.items():
            work.asked[conv] = min(after, work.asked.get(conv, after))
            work.entered.discard(conv)

    def forget(self, session: Session) -> None:
        """This session is gone. Called in read callbacks."""
        self._work.pop(session, None)

    def run(self) -> None:
        """Work for ever; WORKERS greenlets run this."""
        while True:
            work = self._queue.get()
            try:
                self._step(work)
            except AppError as error:
                part(work.session.conn, error)
            except Exception:
                log.exception("bringing a device up to date failed")
                part(work.session.conn, Unavailable())

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
            part(work.session.conn, Unavailable("too many are catching up; come again"))

    def _step(self, work: Work) -> None:
        """Plan or send one round of pages, then finish or queue again."""
        conn = work.session.conn
        if not conn.open:
            self._work.pop(work.session, None)
        elif conn.queued_bytes > LOW_WATER_BYTES:
            gevent.spawn_later(FULL_RETRY_S, self._again, work)
        else:
            if work.greeting is not None:
                # Before the rows: the keys to read them are among it.
                if self._greet(work.session, work.greeting):
                    work.greeting = None
            elif work.wants:
                self._send_pages(work)
            elif work.asked or work.asked_by_client:
                self._plan_asked(work)
            if work.greeting is None and not work.wants and not work.asked and work.tell:
                work.tell = False
                conn.send(wire.frame(wire.Synced(work.position)))
                work.position = None
            if work.greeting is not None or work.wants or work.asked or work.asked_by_client:
                self._again(work)
            else:
                self._work.pop(work.session, None)

    def _plan_asked(self, work: Work) -> None:
        """Turn what is asked into wants."""
        session, hub = work.session, self._hub
        asked, entered = work.asked, work.entered
        work.asked, work.entered = {}, set()
        work.tell, work.asked_by_client = work.tell or work.asked_by_client, False
        memberships = [m for m in self._messages.memberships(session.user, session.device) if m.conv in asked]
        # Signing in may have followed a conversation already that the hub let the session into meanwhile.
        followed = {conv for conv in entered if hub.hears(session, conv) and not hub.is_behind(session, conv)}
        current = {m.conv for m in memberships if m.to_seq is None}
        for conv in [conv for conv in hub.behind(session) if conv in asked and conv not in current]:
            hub.unsubscribe(session, conv)
        for m in memberships if session.conn.open else ():
            if m.conv in followed or (m.to_seq is not None and m.conv in entered):
                # The log is read more than once: a row that says they joined may be older than their leaving.
                continue
            after = max(asked[m.conv], m.from_seq - 1)
            if m.to_seq is None and asked[m.conv] > m.head:
                problem = f"the cursor of conversation {m.conv} is ahead of its log"
                session.conn.send(wire.error_frame(InvalidRequest(problem)))
            elif m.to_seq is None:
                hub.subscribe(session, m.conv, m.head)
                work.wants[m.conv, m.from_seq] = Want(m.conv, after, None)
            elif after < m.to_seq:
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
            if want.upto is None and not self._hub.is_behind(work.session, want.conv):
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
        """Send rows, several in one send, while the queue is low and they are theirs; returns how many were sent."""
        sent, size, chunk = 0, 0, []
        for row in rows:
            frame = wire.entry_frame(row)
            chunk.append((frame, row.ts))
            size += len(frame)
            last_of_theirs = want.upto is None and row.kind is Kind.LEFT and row.user == session.user
            if size > MAX_SEND_BYTES or last_of_theirs or sent + len(chunk) == len(rows):
                if session.conn.queued_bytes > LOW_WATER_BYTES:
                    return sent
                self._hub.to_session("catch_up", session, chunk)
                sent, size, chunk = sent + len(chunk), 0, []
            if last_of_theirs:
                # They left after their memberships were read: nothing past this row is theirs.
                self._hub.unsubscribe(session, want.conv)
                return sent
        return sent


def part(conn: Connection, error: AppError) -> None:
    """Tell a connection why it ends, and close with the code that says whether coming again makes sense."""
    if conn.open:
        conn.send(wire.error_frame(error))
        conn.close(error.close_code or 1011, error.code)


def _first_of_each(wants: Wants) -> Iterator[tuple[ConversationId, int]]:
    """The key of the earliest stay in each conversation; they were planned in that order."""
    seen: set[ConversationId] = set()
    for key in wants:
        if key[0] not in seen:
            seen.add(key[0])
            yield key
