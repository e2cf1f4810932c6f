"""What a client may say, and what happens then.

`Gatekeeper.received` runs in the event loop's read callback: it decodes, checks the token and the
rate, and hands the command to the greenlet whose work it is. It never waits and never logs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from app.domain.ids import ConversationId
from app.domain.people import Identity
from app.errors import AppError, InvalidRequest, TooMany, Unauthenticated, Unavailable
from app.metrics import CATALOGUE, Metrics, path_of, requests_of
from app.protocol import wire
from app.protocol.frames import MAX_MESSAGE_BYTES
from app.realtime.arrivals import Arrival, Arrivals
from app.realtime.committer import BUSY_RETRY_MS, Committer
from app.realtime.connection import Connection, Outboxes
from app.realtime.cursors import Cursors
from app.realtime.fanout import Fanout
from app.realtime.hub import Hub, Session
from app.realtime.joiner import Joiner
from app.realtime.limits import USER_SHARE, spend
from app.realtime.lobby import Lobby
from app.realtime.outlet import Outlet
from app.realtime.postman import Postman
from app.realtime.roster import Roster
from app.realtime.settlement import Settlement
from app.realtime.switchboard import Switchboard
from app.services.tokens import Tokens, WsToken
from app.store.messages import NewMessage, Stored

HELLO_DEADLINE_S = 5.0
GOODBYE_DEADLINE_S = 5.0
MAX_MISTAKES = 100
"""Commands that could not be understood, over the life of a connection."""
MAX_UNKNOWN_CURSORS = 16
"""Cursors in one `delivered` for conversations that the device does not hear (any more)."""
TYPING_EVERY_S = 1.0
SIGNING_IN = object()
"""In `Connection.session`: a valid token was shown, the database is being asked."""
WAITING_FOR_LINK = object()
"""In `Connection.session`: a new device that waits to be let in; it may say nothing more."""
_PATHS: dict[type[wire.Command], str] = {
    wire.Send: "message", wire.Delivered: "receipt", wire.Read: "read", wire.Sync: "catch_up", wire.Typing: "typing",
}  # fmt: skip
_Noted = wire.LinkWait | wire.Auth | wire.Delivered | wire.Read | wire.Sync | wire.Typing
_CLOSE_CODES = frozenset(next(spec.labels["code"] for spec in CATALOGUE if spec.name == "messenger_ws_closes_total"))


class Gatekeeper:
    """Owner of every connection of this node: knows who may say what."""

    def __init__(
        self,
        *,
        tokens: Tokens,
        hub: Hub,
        fanout: Fanout,
        committer: Committer,
        arrivals: Arrivals,
        joiner: Joiner,
        cursors: Cursors,
        outlet: Outlet,
        settlement: Settlement,
        postman: Postman,
        lobby: Lobby,
        switchboard: Switchboard,
        went: Callable[[Session], None],
        metrics: Metrics,
        send_rate_per_s: int,
        beat_s: int,
    ) -> None:
        """`beat_s`: every connection has a turn in so many seconds (see `upkeep.beat`). `went` hears who is gone."""
        self._tokens = tokens
        self._hub = hub
        self._fanout = fanout
        self._committer = committer
        self._arrivals = arrivals
        self._joiner = joiner
        self._cursors = cursors
        self._outlet = outlet
        self._settlement = settlement
        self._postman = postman
        self._lobby = lobby
        self._switchboard = switchboard
        self._went = went
        self._rate = float(send_rate_per_s)
        self._validate = {
            probe: {
                kind: metrics.histogram("messenger_fanout_stage_seconds", path_of(path, probe=probe), "validate")
                for kind, path in _PATHS.items()
            }
            for probe in (False, True)
        }
        self._outcomes = requests_of(metrics, "ws")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        self._closes = {code: metrics.counter("messenger_ws_closes_total", code) for code in _CLOSE_CODES}
        self.outboxes = Outboxes()
        self.connections = Roster(max(1, beat_s * 2 // 3))
        self.waiting_for_hello: deque[tuple[float, Connection]] = deque()
        self.waiting_for_goodbye: deque[tuple[float, Connection]] = deque()
        metrics.gauge("ws_connections_active").read = lambda: len(self.connections)
        metrics.gauge("messenger_ws_send_queue_bytes").read = lambda: self.outboxes.used_bytes

    def welcome(self, conn: Connection, ws_token: WsToken | None) -> None:
        """A handshake was made; `ws_token` came in its URL, otherwise `hello` must follow in time."""
        self.connections.add(conn)
        if ws_token is None:
            self.waiting_for_hello.append((time.monotonic() + HELLO_DEADLINE_S, conn))
        else:
            self._arrivals.put(Arrival(conn, ws_token.identity, {}, None, ws_token))
            conn.session = SIGNING_IN  # nobody says hello twice

    # --- the Owner of connections ---------------------------------------------------------------------

    max_message_bytes = MAX_MESSAGE_BYTES

    def received(self, conn: Connection, text: str) -> None:
        """A text frame came."""
        arrived = time.perf_counter()
        try:
            self._obey(conn, wire.decode(text), arrived)
        except AppError as error:
            probe = isinstance(conn.session, Session) and conn.session.probe
            self._outcomes[probe]["client_error"].add()
            conn.send(wire.error_frame(error))
            if error.close_code:
                conn.close(error.close_code, error.code)
            elif not isinstance(conn.session, Session):
                conn.close(1008, "say hello first")
            else:
                self._count_mistake(conn.session)

    def _count_mistake(self, session: Session) -> None:
        """A client that only makes mistakes costs as much as one that talks, and no rate limit sees it."""
        session.mistakes += 1
        if session.mistakes >= MAX_MISTAKES:
            session.conn.close(1008, "too many mistakes")

    def received_bytes(self, conn: Connection, _data: bytes) -> None:
        """A binary frame came: nothing of ours is said that way."""
        conn.close(1003, "text frames only")

    def flushed(self, token: object) -> None:
        """Queued frames have reached the kernel."""
        self._fanout.flushed(token)

    def closing(self, conn: Connection) -> None:
        """We close it: nothing is owed to it any more."""
        self._let_go(conn)
        self.waiting_for_goodbye.append((time.monotonic() + GOODBYE_DEADLINE_S, conn))

    def closed(self, conn: Connection, code: int) -> None:
        """A connection is gone."""
        self.connections.discard(conn)
        self._let_go(conn)
        if isinstance(conn.session, Session):
            self._went(conn.session)
        elif conn.session is WAITING_FOR_LINK:
            self._lobby.forget(conn)
        conn.session = None
        name = str(code)
        self._closes[name if name in _CLOSE_CODES else "other"].add()

    def _let_go(self, conn: Connection) -> None:
        if isinstance(conn.session, Session):
            self._hub.detach(conn.session)
            self._joiner.forget(conn.session)

    # --- commands -------------------------------------------------------------------------------------

    def _obey(self, conn: Connection, command: wire.AnyCommand, arrived: float) -> None:
        session = conn.session
        if isinstance(command, wire.Hello):
            self._hello(conn, command)
        elif isinstance(command, wire.LinkWait) and session is None:
            conn.session = WAITING_FOR_LINK
            self._lobby.wait(conn, command.token)
        elif not isinstance(session, Session):
            raise Unauthenticated("say hello first")
        elif not self._may_go_on(session):
            self._slow_down(session, command)
        elif isinstance(command, wire.Send):
            conn.lively = True  # the ack is a sign to it as this is to us
            self._send(session, command, arrived)
        elif isinstance(command, wire.CallCommand):
            conn.lively = True  # as with a send
            self._switchboard.say(session, command)
        else:
            self._note(session, command)
            self._outcomes[session.probe]["ok"].add()
            validate = self._validate[session.probe].get(type(command))
            if validate is not None:
                validate.observe(time.perf_counter() - arrived)

    def _may_go_on(self, session: Session) -> bool:
        """Whether this device, and all devices of its person together, have something left to do."""
        now = time.monotonic()
        due = spend(session.due, self._rate, now)
        if due is None:
            return False
        if session.shared is not None:
            shared_due = spend(session.shared.due, self._rate * USER_SHARE, now)
            if shared_due is None:
                return False
            session.shared.due = shared_due
        session.due = due
        return True

    def _hello(self, conn: Connection, command: wire.Hello) -> None:
        if conn.session is not None:
            raise InvalidRequest("hello was said already")
        try:
            identity = self._tokens.check(command.token)
        except Unauthenticated:
            self._unauthenticated.add()
            raise
        conn.session = SIGNING_IN
        named = (command.since, command.to_device)
        self._arrivals.put(Arrival(conn, identity, command.cursors, command.epoch, None, *named))

    def _send(self, session: Session, command: wire.Send, arrived: float) -> None:
        message = NewMessage(command.conv, session.user, session.device, command.id, command.body, time.time())
        self._validate[session.probe][wire.Send].observe(time.perf_counter() - arrived)
        if not self._committer.put(session.conn, message, probe=session.probe):
            session.conn.send(wire.error_frame(Unavailable("busy; send it again"), command.id, BUSY_RETRY_MS))

    def _slow_down(self, session: Session, command: wire.AnyCommand) -> None:
        self._outcomes[session.probe]["client_error"].add()
        message_id = command.id if isinstance(command, wire.Send) else None
        if isinstance(command, wire.CallCommand):
            message_id = command.call
        retry_after_ms = int(1000 / self._rate) + 1
        session.conn.send(wire.error_frame(TooMany("slow down"), message_id, retry_after_ms))

    def _note(self, session: Session, command: _Noted) -> None:
        if isinstance(command, wire.Auth):
            self._renew(session, self._tokens.check(command.token))
        elif isinstance(command, wire.Delivered):
            session.conn.lively = True  # it says what it has just heard
            self._delivered(session, command.cursors)
            if command.to_device is not None:
                self._postman.acknowledged(session, command.to_device)
        elif isinstance(command, wire.Read):
            self._cursors.read(session, command.conv, command.seq, time.time())
        elif isinstance(command, wire.Typing):
            self._typing(session, command.conv)
        elif isinstance(command, wire.Sync):
            session.conn.lively = True  # as with a send: `synced` is the answer
            self._joiner.catch_up(session, command.cursors)
        else:
            raise InvalidRequest("`link` can only be the first thing a connection says")

    @staticmethod
    def _renew(session: Session, identity: Identity) -> None:
        if identity.device != session.device:
            raise Unauthenticated("this token belongs to another device")
        session.expires_at = max(session.expires_at, identity.expires_at)

    def _delivered(self, session: Session, cursors: Mapping[ConversationId, int]) -> None:
        unknown = 0
        for conv, seq in cursors.items():
            sent = self._hub.has_sent(session, conv, seq)
            if sent or self._hub.hears(session, conv):
                self._settlement.acknowledged(session.device, conv, seq)
            else:
                unknown += 1
                if unknown > MAX_UNKNOWN_CURSORS:  # what is kept must not grow with what a client makes up
                    continue
            self._cursors.delivered(Stored(session.device, session.user, conv, seq, sent, session.probe))

    def _typing(self, session: Session, conv: ConversationId) -> None:
        # What the hub knows is enough here: it lasts seconds and nothing is stored.
        now = time.monotonic()
        if now - session.typed_at >= TYPING_EVERY_S and self._hub.hears(session, conv):
            session.typed_at = now
            event = wire.TypingEvent(conv, session.user)
            self._outlet.aside("typing", conv, event, time.time(), but=session.user)
