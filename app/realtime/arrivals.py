"""Signing devices in, a batch in one statement.

Fifty devices that connect within five milliseconds cost one database call together. It burns single-use
tokens, takes a fencing number for each connection, and reads what the device may hear, how far it has come and
where each log is. Whoever lacks nothing is live at once, and gets `welcome` and `synced` in one send; for the
others the joiner reads pages. What was told between the read and the registration is known from `overhear`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gevent.queue import Full, Queue

from app import logs
from app.domain.ids import ConversationId, DeviceId
from app.domain.people import Identity
from app.errors import AppError, DeviceRevoked, Unauthenticated, Unavailable
from app.metrics import Metrics
from app.protocol import wire
from app.realtime import expiry
from app.realtime.connection import Connection
from app.realtime.hub import Hub, Overheard, Session
from app.realtime.joiner import Greeting, Joiner, Wants, part
from app.realtime.queues import take_batch
from app.services.messages import Messages
from app.services.tokens import WsToken
from app.store.devices import Admission, Newcomer

MAX_BATCH = 50
LINGER_S = 0.005
MAX_WAITING = 20_000

log = logs.get("arrivals")


@dataclass(slots=True)
class Arrival:
    """A connection that showed a valid token and is to be signed in; the rest is what its `hello` names."""

    conn: Connection
    identity: Identity
    cursors: Mapping[ConversationId, int]
    epoch: str | None
    ws_token: WsToken | None = None
    since: str | None = None
    inbox: int | None = None


class Arrivals:
    """One per node."""

    def __init__(
        self,
        messages: Messages,
        hub: Hub,
        joiner: Joiner,
        metrics: Metrics,
        beat_s: int,
        came: Callable[[Session], None],
    ) -> None:
        """`beat_s` is told to clients: how often they are pinged. `came` hears of everybody who is signed in."""
        self._messages = messages
        self._hub = hub
        self._joiner = joiner
        self._beat_s = beat_s
        self._came = came
        self._queue: Queue[Arrival] = Queue(maxsize=MAX_WAITING)
        self._accepted = metrics.counter("messenger_ws_connects_total", "accepted")
        self._unauthenticated = metrics.counter("messenger_ws_connects_total", "unauthenticated")
        self._rows = metrics.histogram("messenger_hello_batch_rows")
        self.epoch = ""
        """The name of the database; the reconciler keeps it true."""

    def put(self, arrival: Arrival) -> None:
        """Sign this connection in; called in read callbacks. When too many wait, it must come again."""
        try:
            self._queue.put_nowait(arrival)
        except Full:
            arrival.conn.close(1013, "too many are connecting; come again")

    def run(self) -> None:
        """Sign in for ever; one greenlet, as two might take the fencing numbers of a device's connections in another
        order than they came.
        """
        while True:
            batch = self._newest(take_batch(self._queue, MAX_BATCH, LINGER_S))
            if not batch:
                continue
            self._rows.observe(len(batch))
            try:
                with self._hub.overhear() as heard:
                    admitted = self._messages.sign_in([_newcomer(arrival) for arrival in batch.values()])
                    for device, arrival in batch.items():
                        self._decide(arrival, admitted[device], heard)
            except AppError as error:
                for arrival in batch.values():
                    part(arrival.conn, error)
            except Exception:
                log.exception("signing in failed")
                for arrival in batch.values():
                    part(arrival.conn, Unavailable())

    @staticmethod
    def _newest(arrivals: list[Arrival]) -> dict[DeviceId, Arrival]:
        """The last connection of each device; earlier ones are displaced before they are signed in.

        Who has hung up is passed over: its fencing number would displace the connection that the device made since.
        """
        newest: dict[DeviceId, Arrival] = {}
        for arrival in arrivals:
            if not arrival.conn.open:
                continue
            overtaken = newest.get(arrival.identity.device)
            if overtaken is not None:
                overtaken.conn.close(4409, "this device connected anew")
            newest[arrival.identity.device] = arrival
        return newest

    def _decide(self, arrival: Arrival, admission: Admission, heard: Overheard) -> None:
        try:
            self._require_ok(admission)
            if arrival.identity.device in heard.revoked:
                raise DeviceRevoked
        except AppError as error:
            self._unauthenticated.add()
            if isinstance(error, DeviceRevoked):  # it was not here to hear it; only this makes it erase what it holds
                arrival.conn.send(wire.frame(wire.Device(arrival.identity.device, "revoked")))
            part(arrival.conn, error)
        else:
            self._admit(arrival, admission, heard)

    @staticmethod
    def _require_ok(admission: Admission) -> None:
        if admission.outcome == "revoked":
            raise DeviceRevoked
        if admission.outcome == "burnt":
            raise Unauthenticated("this token was used before; ask for a new one")
        if admission.outcome == "unknown":
            raise Unauthenticated("there is no such device")

    def _admit(self, arrival: Arrival, admission: Admission, heard: Overheard) -> None:
        """No switch of greenlets happens between the read and the end of this."""
        conn, identity = arrival.conn, arrival.identity
        session = Session(
            conn,
            identity.user,
            identity.device,
            identity.expires_at,
            time.time(),
            admission.fence,
            probe=admission.probe,
        )
        if heard.fences.get(identity.device, 0) > admission.fence:
            conn.close(4409, "this device connected anew")
        if not conn.open or not self._hub.attach(session):
            return
        conn.session = session
        expiry.watch(session, self._beat_s + 1)
        self._accepted.add()
        hello = wire.frame(wire.Welcome(identity.user, identity.device, self.epoch, self._beat_s, session.since))
        cursors, since = arrival.cursors, arrival.since
        if self._is_another_database(arrival, admission):
            hello += wire.frame(wire.Resync(self.epoch))
            cursors = dict.fromkeys((m.conv for m in admission.memberships), 0)
            since = None
        else:
            session.inbox = arrival.inbox or 0
        wants: Wants = {}
        for membership in admission.memberships:
            self._joiner.enter(session, membership, cursors.get(membership.conv), wants, heard)
        greeting = Greeting(since, admission.waited_for) if since or admission.waited_for else None
        if wants or greeting:
            conn.send(hello)
            self._joiner.bring(session, wants, greeting, admission.position)
        else:
            conn.send(hello + wire.frame(wire.Synced(admission.position)))
        self._came(session)
        for conv, seq in heard.joined.pop(identity.user, ()):  # it is overheard anew, for their other devices
            self._hub.let_in_at(conv, seq, identity.user)

    def _is_another_database(self, arrival: Arrival, admission: Admission) -> bool:
        """Whether the device knew a database that had another epoch, or rows that this one never had."""
        if arrival.epoch not in (None, self.epoch):
            return True
        if (arrival.inbox or 0) > admission.inbox_head:
            return True
        named = arrival.cursors
        return any(m.to_seq is None and named.get(m.conv, 0) > m.head for m in admission.memberships)


def _newcomer(arrival: Arrival) -> Newcomer:
    identity, token = arrival.identity, arrival.ws_token
    if token is None:
        return Newcomer(identity.device, identity.user)
    return Newcomer(identity.device, identity.user, token.jti, token.burn_until)
