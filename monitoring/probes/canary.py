"""The delivery probe: one device sends a canary message, another person's device waits for it."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Literal

from monitoring.client.api import Api, ApiError
from monitoring.client.events import Event
from monitoring.client.person import Person
from monitoring.probes.accounts import ProbeAccounts
from monitoring.probes.failures import own_fault
from monitoring.probes.journal import ABANDONED, STARVED, Entry, Journal
from monitoring.probes.ledger import ODD, End, Ledger
from monitoring.probes.members import leave_alone
from monitoring.probes.metrics import ProbeMetrics

TITLE = "canary"
CONNECT_WAIT_S = 2.0


class CanaryProbe:
    """Sends with `start`, hears in the clients' threads; the ledger is guarded by one lock."""

    def __init__(
        self,
        route: tuple[str, str],
        apis: tuple[Api, Api],
        accounts: ProbeAccounts,
        metrics: ProbeMetrics,
        journal: Journal | None = None,
        stalled_s: Callable[[float, float], float] = lambda _since, _until: 0.0,
    ) -> None:
        """`route`: what the two places are called that canaries are sent to and heard at, which `apis` reach.

        `journal`: where every canary and its end is written down. `stalled_s`: as the ledger wants it.
        """
        self._route = route
        self._metrics = metrics
        self._journal = journal
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._sending = threading.Lock()
        self._ledger = Ledger(stalled_s)
        self._number = 0
        self._conv: int | None = None
        self._sender = Person(apis[0], accounts.sender, accounts.password, self._sender_heard)
        self._receiver = Person(apis[1], accounts.receiver, accounts.password, self._receiver_heard)
        self._started = False

    def start(self, intended: float) -> None:
        """Send one canary; `intended` (Unix seconds) is when the schedule wanted it, and latency counts from there.

        The beats on which the two people are still made ready send none: how long that takes is no promise.
        """
        was_ready = self._started
        try:
            self._prepare()
        except (ApiError, OSError) as error:
            if fault := own_fault(error):
                self._metrics.own_fault("canary", fault)
            else:
                self._send(intended, self._refuse)
        else:
            if was_ready:
                self._send(intended, self._say)

    def _send(self, intended: float, say: Callable[[str, str], object]) -> None:
        """One canary into the ledger and on its way; one at a time, or they would overtake each other here."""
        canary_id = str(uuid.uuid4())
        with self._sending:
            with self._lock:
                self._number += 1
                body = json.dumps({"canary": canary_id, "number": self._number})
                self._ledger.sent(canary_id, self._number, body, intended)
                self._write(Entry("sent", canary_id, intended))
            try:
                say(body, canary_id)
            except OSError:
                with self._lock:
                    for end in self._ledger.failed(canary_id):
                        self._count(end)

    def _say(self, body: str, canary_id: str) -> None:
        assert self._conv is not None  # noqa: S101  _prepare made it
        self._sender.send(self._conv, body, canary_id)

    @staticmethod
    def _refuse(_body: str, _canary_id: str) -> None:
        raise OSError("not connected")

    def settle(self) -> None:
        """Give the canaries whose deadline has passed their end."""
        with self._lock:
            for end in self._ledger.settle(time.time()):
                self._count(end)

    def stop(self) -> None:
        """Disconnect both."""
        self._sender.stop()
        self._receiver.stop()

    def _prepare(self) -> None:
        """Both signed in and in one conversation; on first use, and again until it worked. Raises ApiError."""
        with self._preparing:  # runs may overlap, and must not make two conversations
            self._prepare_once()
        for person in (self._sender, self._receiver):
            person.connected.wait(timeout=CONNECT_WAIT_S)

    def _prepare_once(self) -> None:
        if self._conv is None:
            account = self._sender.account()
            for person in (self._sender, self._receiver):
                leave_alone(person.api, person.account())
            known = [c["id"] for c in self._sender.api.conversations(account) if c["title"] == TITLE]
            self._conv = (
                known[0] if known else self._sender.api.create_conversation(account, [self._receiver.name], TITLE)
            )
        if not self._started:
            self._started = True
            self._sender.start()
            self._receiver.start()

    def _sender_heard(self, event: Event) -> None:
        if event["type"] == "ack":
            with self._lock:
                self._ledger.acknowledged(event["id"])

    def _receiver_heard(self, event: Event) -> None:
        if event["type"] == "message" and event["conv"] == self._conv:
            now = time.time()
            with self._lock:
                for end in self._ledger.arrived(event["id"], event["body"], now):
                    self._count(end)

    def abandon(self, canaries: Iterable[str]) -> None:
        """What a prober that died left without an end."""
        for canary_id in canaries:
            self._write(Entry("end", canary_id, time.time(), ABANDONED))

    def _write(self, entry: Entry) -> None:
        if self._journal is not None:
            self._journal.write(entry)

    def _count(self, end: End) -> None:
        kind: Literal["odd", "end"] = "odd" if end.outcome in ODD else "end"
        self._write(Entry(kind, end.canary_id, time.time(), end.outcome, end.latency_s))
        if end.outcome == STARVED:
            self._metrics.own_fault("canary", STARVED)
        else:
            self._metrics.ended(end.outcome, *self._route)
        if end.latency_s is not None:
            # Whoever sees a slow one on a board finds it in the database by its id.
            self._metrics.latency.observe(end.latency_s, {"canary_id": end.canary_id})
