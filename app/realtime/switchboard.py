"""What devices say about calls, decided one after the other for each conversation.

Read callbacks put what was said into a queue and return; a few greenlets each own some of the conversations, so
candidates stay behind their invite and two answers never race on one node. (Between nodes the lock in the database
decides.)
"""

from __future__ import annotations

import time

from gevent.queue import Full, Queue

from app import logs
from app.domain.calls import Verb
from app.errors import AppError, Unavailable
from app.metrics import Metrics, outcome_of, requests_of
from app.protocol import wire
from app.realtime.hub import Session
from app.services.calls import Calls, Said

WORKERS = 4
MAX_WAITING = 1_000
BUSY_RETRY_MS = 500

log = logs.get("switchboard")


class Switchboard:
    """One per node."""

    def __init__(self, calls: Calls, metrics: Metrics) -> None:
        self._calls = calls
        self._queues: list[Queue[tuple[Session, Said]]] = [Queue(maxsize=MAX_WAITING) for _ in range(WORKERS)]
        self._stage = metrics.histogram("messenger_fanout_stage_seconds", "call", "commit")
        self._failed = metrics.counter("messenger_fanout_errors_total", "call", "commit")
        self._outcomes = requests_of(metrics, "ws")

    def say(self, session: Session, command: wire.AnyCall) -> None:
        """A device says something about a call; it gets `call.ack` or `error`. Called in read callbacks."""
        said = _said(session, command)
        try:
            self._queues[said.conv % WORKERS].put_nowait((session, said))
        except Full:
            self._outcomes[session.probe]["server_error"].add()
            session.conn.send(wire.error_frame(Unavailable("busy; say it again"), said.call, BUSY_RETRY_MS))

    def run(self, number: int) -> None:
        """Decide for ever; WORKERS greenlets run this, each with a number."""
        while True:
            session, said = self._queues[number].get()
            started = time.perf_counter()
            try:
                told = self._calls.say(said)
            except AppError as error:
                self._refuse(session, said, error)
            except Exception:
                log.exception("a call could not be decided")
                self._refuse(session, said, Unavailable())
            else:
                self._outcomes[session.probe]["ok"].add()
                session.conn.send(wire.frame(wire.CallAck(said.call, said.conv, told)))
            self._stage.observe(time.perf_counter() - started)

    def _refuse(self, session: Session, said: Said, error: AppError) -> None:
        server_side = error.http_status >= 500
        self._outcomes[session.probe][outcome_of(error.http_status)].add()
        self._failed.add(server_side)
        session.conn.send(wire.error_frame(error, said.call, BUSY_RETRY_MS if server_side else None))


_VERBS: dict[type[wire.CallCommand], Verb] = {
    wire.CallInvite: "invite", wire.CallCandidates: "candidates", wire.CallAnswer: "answer",
    wire.CallSelectAnswer: "select_answer", wire.CallReject: "reject", wire.CallHangup: "hangup",
    wire.CallNegotiate: "negotiate",
}  # fmt: skip


def _said(session: Session, command: wire.AnyCall) -> Said:
    invite = command if isinstance(command, wire.CallInvite) else None
    return Said(
        conv=command.conv,
        call=command.call,
        user=session.user,
        device=session.device,
        verb=_VERBS[type(command)],
        payload=command.payload,
        version=command.version,
        ts=time.time(),
        callee=invite.user if invite else None,
        lifetime_ms=invite.lifetime_ms if invite else 0,
        selected=command.selected if isinstance(command, wire.CallSelectAnswer) else None,
        reason=command.reason if isinstance(command, wire.CallReject | wire.CallHangup) else None,
    )
