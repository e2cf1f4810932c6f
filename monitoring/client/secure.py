"""A device that reads and writes encrypted: the connection of `socket`, the requests of `api`, the keys of `crypto`.

Frames are taken in the reader's thread: what decrypts is handed to `on_message`, what needs a request (uploading keys,
asking for devices) is left to a thread of its own. All state of the encryption is behind one lock, and kept in a file,
when there is one, before anything that changed it is acknowledged.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.crypto.machine import ENCRYPTED, CryptoError, Machine, MissingKey, UnknownDevice
from monitoring.client.crypto.names import Json, user_name
from monitoring.client.events import Event
from monitoring.client.session import Session
from monitoring.client.socket import Socket, wait_for_link

REFUSED = (400, 413)
RETRY_S = 1.0
MAX_UNREADABLE = 1_000
"""Messages whose key has not come; the oldest is given up."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was read."""

    conv: int
    seq: int
    sender: int
    device: int
    content: Json

    @property
    def text(self) -> str:
        """What it says in words."""
        return str(self.content["body"])


class SecureDevice:
    """One device of a person, connected while it lives. Callbacks run in the reader's thread."""

    def __init__(
        self,
        api: Api,
        account: Account,
        *,
        state: Path | None = None,
        on_message: Callable[[Received], None] = lambda _: None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """`state` is where keys are kept over restarts (mode 600); without it they end with this object.

        Raises CryptoError when the file cannot be read.
        """
        self.api = api
        self.account = account
        self._state = state
        self._on_message = on_message
        self._on_event = on_event
        self._lock = threading.RLock()
        kept = json.loads(state.read_text()) if state is not None and state.exists() else None
        self.machine = Machine.load(kept["machine"]) if kept else Machine(account.user, account.device)
        self._resume: Json = kept["resume"] if kept else {}
        # Requests whose success is not known, by txn, which makes repeating harmless. Keys in it count as shared.
        self._outbox: dict[str, dict[str, dict[str, Json]]] = kept["outbox"] if kept else {}
        self._members: dict[int, set[int]] = {}
        self._unreadable: deque[Event] = deque(maxlen=MAX_UNREADABLE)
        self._chores = threading.Event()
        self.socket: Socket | None = None
        self.revoked = threading.Event()
        self.failures: list[str] = []
        """Why something could not be read, in words; never what it said."""

    # --- connecting ----------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, or connect again from where it was; keys are uploaded when they lack. Raises ConnectionFailed."""
        with self._lock:  # what is heard meanwhile waits until it is known on which socket
            self._upload()
            self._keep()  # where a connection was that broke: what it heard must not be heard again
            known = self._resume
            self.socket = Socket(
                self.api.ws_url,
                self.account.access_token,
                self._heard,
                Session(
                    {int(conv): seq for conv, seq in known.get("cursors", {}).items()},
                    known.get("epoch"),
                    known.get("since"),
                    known.get("inbox", 0),
                ),
            )
        threading.Thread(target=self._do_chores, args=(self.socket,), name="messenger chores", daemon=True).start()

    def close(self) -> None:
        """Disconnect; `connect` goes on from here."""
        if self.socket is not None:
            self.socket.close()
            self._chores.set()
            self._keep()

    def refresh_members(self) -> None:
        """Read who is in which conversation. Raises ApiError."""
        members = {row["id"]: set(row["users"]) for row in self.api.conversations(self.account)}
        with self._lock:
            self._members = members

    # --- saying --------------------------------------------------------------------------------------

    def send(self, conv: int, text: str, message_id: str | None = None) -> str:
        """Encrypt for every device of every member, and send; the message's id. Raises ApiError or OSError."""
        return self.say(conv, {"msgtype": "m.text", "body": text}, message_id)

    def say(self, conv: int, content: Json, message_id: str | None = None) -> str:
        """`send` for more than text: an `incident`, say. `content` has a `msgtype`, and a `body` in words."""
        message_id = message_id or str(uuid.uuid4())
        with self._lock:
            self._prepare(self._members_of(conv))
            self._share(conv)
            body = self.machine.encrypt(conv, content)
            self._keep()
        self._live().send_message(conv, body, message_id)
        return message_id

    def read(self, conv: int, seq: int) -> None:
        """The person has read everything up to `seq`. Raises OSError while not connected."""
        self._live().command({"type": "read", "conv": conv, "seq": seq})

    def call(self, verb: str, conv: int, call: str, **fields: Any) -> None:
        """Say something about a call: `invite` (with `user`), `answer`, `hangup` … Raises OSError."""
        self._live().command({"type": f"call.{verb}", "conv": conv, "call": call} | fields)

    def revoke(self, device: int) -> None:
        """Sign a device of this person out for good. Raises ApiError."""
        self.api.revoke(self.account, device)

    def hand_over_history(self, device: int) -> int:
        """Give another device of this person the keys to what was said before; how many items were sent.

        For a device whose code the person has compared. Raises ApiError.
        """
        with self._lock:
            self.machine.directory.outdate([self.account.user])
            self._prepare([self.account.user])
            items = self.machine.history_for(device)
            for messages in items:
                self._to_devices(messages)
            self._keep()
        return len(items)

    def _live(self) -> Socket:
        if self.socket is None or self.socket.closed.is_set():
            raise OSError("not connected")
        return self.socket

    def _members_of(self, conv: int) -> set[int]:
        if conv not in self._members:
            self.refresh_members()
        return self._members.get(conv, set()) | {self.account.user}

    def _prepare(self, users: Iterable[int]) -> None:
        """Know the devices of `users`, and have a session with each. Raises ApiError."""
        users = set(users)
        stale = self.machine.directory.stale(users)
        if stale:
            wanted: dict[str, list[str]] = {user_name(user): [] for user in stale}
            self.machine.directory.learn(stale, self._post("/api/keys/query", {"device_keys": wanted}))
        claim = self.machine.to_claim(users)
        if claim is not None:
            self.machine.claimed(users, self._post("/api/keys/claim", claim), time.time())
            self._to_devices(self.machine.mended(users))

    def _share(self, conv: int) -> None:
        self._to_devices(self.machine.to_share(conv, self._members_of(conv), time.time()))

    def _to_devices(self, messages: dict[str, dict[str, Json]]) -> None:
        """Send these, after what could not be sent before. Raises ApiError; then they are sent the next time."""
        if messages:
            self._outbox[str(uuid.uuid4())] = messages
            self._keep()
        for txn, waiting in tuple(self._outbox.items()):
            path = f"/api/to-device/{quote(ENCRYPTED)}/{txn}"
            try:
                self.api.call("PUT", path, {"messages": waiting}, self.account.access_token)
            except ApiError as error:
                if error.status in REFUSED:  # it would be refused for ever, and everything behind it would wait
                    del self._outbox[txn]
                raise
            del self._outbox[txn]

    def _post(self, path: str, form: Json) -> Json:
        answer: Json = self.api.call("POST", path, form, self.account.access_token)
        return answer

    def _upload(self) -> None:
        body = self.machine.to_upload()
        if body is not None:
            self._keep()  # what is public must never be forgotten here
            self.machine.uploaded(self._post("/api/keys/upload", body)["one_time_key_counts"])
            self._keep()

    # --- hearing: the reader's thread ----------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        kind = event["type"]
        with self._lock:
            if kind == "to_device":
                self._take(event)
            elif kind == "message":
                self._decrypt(event)
            elif kind == "device_lists":
                self.machine.directory.outdate(event["changed"] + event["left"])
                if self._unreadable:
                    self._chores.set()
            elif kind == "keys":
                self.machine.counted(event["one_time_key_counts"], event["unused_fallback_key_types"])
                self._chores.set()
            elif kind == "member" and (members := self._members.get(event["conv"])) is not None:
                (members.add if event["event"] == "joined" else members.discard)(event["user"])
            elif kind == "resync":
                self.machine.directory.outdate_all()
        if kind == "device" and event["event"] == "revoked" and event["device"] == self.account.device:
            self.revoked.set()
        self._on_event(event)

    def _take(self, event: Event) -> None:
        try:
            got = self.machine.receive(event["sender"], event["device"], event["event"], event["content"], time.time())
        except CryptoError as error:
            self.failures.append(str(error))
            got = None
        self._keep(inbox=event["seq"])
        if got is not None:
            self._try_again(ask=True)

    def _decrypt(self, event: Event, *, ask: bool = True) -> None:
        place = (event["conv"], event["sender"], event["device"])
        try:
            content = self.machine.decrypt(*place, event["id"], event["body"])
        except MissingKey:
            self._unreadable.append(event)
        except UnknownDevice:
            self._unreadable.append(event)
            if ask:
                self.machine.directory.outdate([event["sender"]])
                self._chores.set()
        except CryptoError as error:
            self.failures.append(str(error))
        else:
            self._on_message(Received(event["conv"], event["seq"], event["sender"], event["device"], content))

    # --- chores: a thread of its own -----------------------------------------------------------------

    def _do_chores(self, socket: Socket) -> None:
        while not socket.closed.is_set():
            self._chores.wait(timeout=1.0)
            if self._chores.is_set():
                self._chores.clear()
                try:
                    with self._lock:
                        self._upload()
                        self._ask_for_senders()
                except ApiError:
                    self._chores.set()  # somebody waits for it
                    socket.closed.wait(timeout=RETRY_S)

    def _ask_for_senders(self) -> None:
        """Who sent something that waits must be known to read it; whoever asked meanwhile, it is tried again."""
        senders = {event["sender"] for event in self._unreadable}
        if senders & set(self.machine.directory.stale(senders)):
            self._prepare(senders)
        self._try_again(ask=False)

    def _try_again(self, *, ask: bool) -> None:
        """Read what waits. `ask`: for senders that are not known; else it waits until their devices change."""
        waiting, self._unreadable = list(self._unreadable), deque(maxlen=MAX_UNREADABLE)
        for message in waiting:
            self._decrypt(message, ask=ask)

    def _keep(self, inbox: int | None = None) -> None:
        """Keep the state, as far as there is a file for it, and where to go on from."""
        socket = self.socket
        if socket is not None:
            self._resume = {
                "cursors": {str(conv): seq for conv, seq in socket.cursors.items()},
                "epoch": socket.welcome["epoch"],
                "since": socket.session.since,
                "inbox": max(inbox or 0, socket.session.inbox),
            }
        if self._state is not None:
            temporary = self._state.with_suffix(".new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"machine": self.machine.dump(), "resume": self._resume, "outbox": self._outbox}, file)
            temporary.replace(self._state)


class LinkFailed(Exception):
    """The new device was not let in; the reason is in the text."""


class LinkingDevice:
    """A new device on its way in: it has claimed a link and waits for the signed-in device to decide."""

    def __init__(self, api: Api, offered: str, device_type: str, device_name: str) -> None:
        """`offered` is the payload or the code that the signed-in device shows. Raises ApiError."""
        self._api = api
        self._claim = api.claim_link(offered, device_type, device_name)

    @property
    def comparison(self) -> str:
        """The code that both devices must show."""
        return str(self._claim["comparison"])

    def wait(self, name: str, timeout_s: float = 300.0) -> Account:
        """Signed in, once the other device has confirmed. Raises LinkFailed, ConnectionFailed or ApiError."""
        decision = wait_for_link(self._api.ws_url, self._claim["claim_token"], timeout_s)
        if decision != "confirmed":
            raise LinkFailed(f"the link was {decision}")
        return self._api.collect_link(name, self._claim["claim_token"])
