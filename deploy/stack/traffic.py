"""Gentle demo traffic: three people with two devices each talk, so that every panel has something to show.

`python -m deploy.stack.traffic ACCOUNTS.json MESSAGES_PER_S`; runs until SIGTERM. What could not be
sent is sent again with the same id, as every good client does.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from monitoring.client.api import Api, ApiError
from monitoring.client.events import Event
from monitoring.client.person import Person

PHRASES = (
    "Morning!",
    "Did the deploy go through?",
    "All panels green.",
    "Lunch?",
    "On my way.",
    "See you at the standup.",
)
TITLE = "the demo team"
RETRY_S = 1.0
MAX_UNACKED = 200
READ_SHARE = 0.1


@dataclass(slots=True)
class Unacked:
    """A message that no ack has come for."""

    person: Person
    conv: int
    body: str


class Traffic:
    """The demo people, their conversations, and what still waits for an ack."""

    def __init__(self, accounts: Path) -> None:
        told = json.loads(accounts.read_text())
        api = Api(told["url"])
        self._names: list[str] = told["people"]
        self._unacked: OrderedDict[str, Unacked] = OrderedDict()
        self._lock = threading.Lock()
        self._people = [
            Person(api, name, told["password"], partial(self._heard, n)) for n, name in enumerate(self._names)
        ]
        # A second device each, which only listens, by way of nginx: what is read on the first is told to it.
        proxy = Api(told["proxy"])
        self._second = [Person(proxy, name, told["password"], lambda _event: None) for name in self._names]
        self._convs: list[int] = []

    def prepare(self) -> None:
        """Sign everybody in and make their conversations, once. Raises ApiError."""
        accounts = [person.account() for person in self._people]
        api = self._people[0].api
        known = {row["title"]: row["id"] for row in api.conversations(accounts[0])}
        group = known.get(TITLE) or api.create_conversation(accounts[0], self._names, TITLE)
        direct = known.get(None) or api.create_conversation(accounts[0], [self._names[1]])
        self._convs = [group, direct]
        for person in (*self._people, *self._second):
            person.account()
            person.start()

    def say_something(self) -> None:
        """One message by somebody."""
        conv = random.choice(self._convs)
        person = random.choice(self._people if conv == self._convs[0] else self._people[:2])
        body = random.choice(PHRASES)
        try:
            message_id = person.send(conv, body)
        except OSError:
            return  # not connected: somebody who is offline says nothing
        with self._lock:
            self._unacked[message_id] = Unacked(person, conv, body)
            while len(self._unacked) > MAX_UNACKED:
                self._unacked.popitem(last=False)

    def repeat(self) -> None:
        """Send again what is not acknowledged."""
        with self._lock:
            waiting = list(self._unacked.items())
        for message_id, message in waiting:
            try:
                message.person.send(message.conv, message.body, message_id)
            except OSError:
                continue

    def stop(self) -> None:
        """Everybody leaves."""
        for person in (*self._people, *self._second):
            person.stop()

    def _heard(self, listener: int, event: Event) -> None:
        if event["type"] == "ack":
            with self._lock:
                self._unacked.pop(event["id"], None)
        elif event["type"] == "message" and random.random() < READ_SHARE:
            with suppress(OSError):
                self._people[listener].read(event["conv"], event["seq"])


def main() -> None:
    """Talk until SIGTERM."""
    traffic, per_s = Traffic(Path(sys.argv[1])), float(sys.argv[2])
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    while not stop.is_set():
        try:
            traffic.prepare()
            break
        except ApiError as error:
            print(f"not ready yet: {error}", flush=True)
            stop.wait(RETRY_S)
    repeated = time.monotonic()
    while not stop.wait(random.expovariate(per_s)):
        if time.monotonic() - repeated > RETRY_S:  # before the next is said, which has had no time for its ack
            repeated = time.monotonic()
            traffic.repeat()
        traffic.say_something()
    traffic.stop()


if __name__ == "__main__":
    main()
