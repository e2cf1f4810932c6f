"""The on-call conversation in the messenger: a bot, which is an ordinary encrypting device, tells and listens.

Each notification is a card whose message id is its event id, so it is there once however often it is sent. What
people press on a card comes back as a message, and counts when its sender is somebody of oncall.yaml. The bot's
account and keys are in a folder of on-call's own; a messenger that is down is an error of this way and no more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.crypto.machine import CryptoError
from monitoring.client.crypto.names import Json
from monitoring.client.events import Event
from monitoring.client.secure import Received, SecureDevice
from monitoring.client.socket import ConnectionFailed
from monitoring.oncall.settings import Messenger, Settings
from monitoring.oncall.store import Notification, Store
from monitoring.oncall.ways import MACHINES_REST_S, WayError, words

INCIDENT = "messenger.incident"
ACTION = "messenger.incident_action"
ACKED_WITHIN_S = 10.0
_FAILURES = (ApiError, ConnectionFailed, CryptoError, OSError)

log = logging.getLogger("oncall")


class _Kept(msgspec.Struct):
    """The bot's account, in a file that only its owner may read."""

    name: str
    password: str
    user: int = 0
    device: int = 0
    access_token: str = ""
    refresh_token: str = ""


class MessengerWay:
    """Tells with `tell`; `run`, every few seconds, keeps it connected, so that it hears what people press."""

    rest_s = MACHINES_REST_S  # each incident is a card of its own, however many come at once

    def __init__(
        self, settings: Settings, messenger: Messenger, store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._messenger, self._store, self._clock = settings, messenger, store, clock
        self._folder = settings.folder / messenger.state
        self._api = Api(messenger.url, ACKED_WITHIN_S)
        self._lock = threading.Lock()
        self._device: SecureDevice | None = None
        self._conv = 0
        self._names: dict[int, str] = {}
        self._answers: dict[str, Event] = {}
        self._answered = threading.Condition()

    def tell(self, person: str, batch: Sequence[Notification]) -> None:  # noqa: ARG002  everybody there
        """A card for each. Raises WayError; what was taken before it is not said twice."""
        with self._lock:
            for one in batch:
                try:
                    self._say(one)
                except _FAILURES as error:
                    raise WayError(f"{self._messenger.url}: {_reason(error)}") from None

    def run(self) -> None:
        """Connect, if that is not so."""
        with self._lock:
            try:
                self._connected()
            except _FAILURES as error:
                log.info("the messenger cannot be reached: %s", _reason(error))

    def stop(self) -> None:
        """Disconnect."""
        if self._device is not None:
            self._device.close()

    # --- saying ------------------------------------------------------------------------------------------

    def _say(self, one: Notification) -> None:
        device = self._connected()
        content = card(one, self._settings.page_url)
        try:
            device.say(self._conv, content, one.event)
        except ApiError as error:
            if error.status != 401:
                raise
            self._renew(device.account)  # the token ran out while it was connected
            device.say(self._conv, content, one.event)
        with self._answered:
            self._answered.wait_for(lambda: one.event in self._answers, timeout=ACKED_WITHIN_S)
            answer = self._answers.pop(one.event, {"type": "error", "code": "timeout"})
        # A conflict: it is there, from a try whose success was not written down, encrypted in other words.
        if answer["type"] != "ack" and answer.get("code") != "conflict":
            raise OSError(f"the message was not taken: {answer.get('code')}")

    # --- staying connected -----------------------------------------------------------------------------------

    def _connected(self) -> SecureDevice:
        device = self._device
        if device is None or device.socket is None or device.socket.closed.is_set():
            device = self._connect()
            self._conv = 0
        if not self._conv:
            self._conv = self._conversation(device.account)
        return device

    def _connect(self) -> SecureDevice:
        account = self._account()
        device = self._device = SecureDevice(
            self._api, account, state=self._keys(account), on_message=self._heard, on_event=self._noted
        )
        try:
            device.connect()
        except (ApiError, ConnectionFailed):
            self._renew(account)
            device.connect()
        return device

    def _account(self) -> Account:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / "account.json"
        if path.exists():
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        else:
            kept = _Kept(f"on-call-{secrets.token_hex(4)}", secrets.token_urlsafe(24))
            self._keep(kept)
        if not kept.device:
            self._sign_in(kept)
        return Account(kept.name, kept.user, kept.device, kept.access_token, kept.refresh_token)

    def _sign_in(self, kept: _Kept) -> None:
        """A new device; an account that a kill kept from being written down is there already."""
        try:
            account = self._api.register(kept.name, kept.password, "DESKTOP", "on call")
        except ApiError as error:
            if error.status != 409:
                raise
            account = self._api.login(kept.name, kept.password, "DESKTOP", "on call")
        self._adopt(kept, account)

    def _renew(self, account: Account) -> None:
        """Fresh tokens; a device that was revoked, or away for too long, becomes another one."""
        kept = msgspec.json.decode((self._folder / "account.json").read_bytes(), type=_Kept)
        try:
            self._api.refresh(account)
        except ApiError as error:
            if error.status == 401:
                kept.device = 0
                self._keep(kept)  # the next try signs in anew
            raise
        self._adopt(kept, account)

    def _adopt(self, kept: _Kept, account: Account) -> None:
        kept.user, kept.device = account.user, account.device
        kept.access_token, kept.refresh_token = account.access_token, account.refresh_token
        self._keep(kept)

    def _keep(self, kept: _Kept) -> None:
        path = self._folder / "account.json"
        temporary = path.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
        temporary.replace(path)

    def _keys(self, account: Account) -> Path:
        return self._folder / f"device-{account.device}.json"

    def _conversation(self, account: Account) -> int:
        """The on-call conversation, made on first use; whoever is called and not in it is asked in."""
        wanted = sorted({one.messenger for one in self._settings.people.values() if one.messenger})
        title = self._messenger.title
        found = [row for row in self._api.conversations(account) if row["title"] == title]
        if found:
            missing = [name for name in wanted if name not in found[0]["members"]]
            if missing:
                path = f"/api/conversations/{found[0]['id']}/members"
                self._api.call("POST", path, {"members": missing}, account.access_token)
        else:
            self._api.create_conversation(account, wanted, title)
        row = next(row for row in self._api.conversations(account) if row["title"] == title)
        self._names = dict(zip(row["users"], row["members"], strict=True))
        return int(row["id"])

    # --- hearing: the reader's thread --------------------------------------------------------------------------

    def _noted(self, event: Event) -> None:
        if event["type"] in ("ack", "error") and event.get("id"):
            with self._answered:
                self._answers[event["id"]] = event
                self._answered.notify_all()

    def _heard(self, received: Received) -> None:
        content = received.content
        if content.get("msgtype") != ACTION or received.conv != self._conv:
            return
        name = self._names.get(received.sender)
        who = next((key for key, one in self._settings.people.items() if one.messenger and one.messenger == name), None)
        incident = self._store.by_event(str(content.get("incident", "")))
        if who is None or incident is None:
            log.warning("somebody who is not of oncall.yaml pressed a button, or on a card that is not ours")
            return
        with contextlib.suppress(KeyError):
            act = {"acknowledge": self._store.acknowledge, "resolve": self._store.resolve}[str(content.get("action"))]
            act(incident, who, self._clock())


def card(one: Notification, page_url: str) -> Json:
    """What the message says: in words for any client, as a card for ours."""
    links = [
        {"name": name, "url": one.annotations[key]}
        for name, key in (("Runbook", "runbook_url"), ("Dashboard", "dashboard_url"))
        if one.annotations.get(key)
    ]
    links += (
        [{"name": "Incident", "url": f"{page_url.rstrip('/')}/incidents/{one.incident}"}]
        if page_url and one.incident
        else []
    )
    incident = {
        "id": one.incident_event,
        "title": one.title,
        "severity": one.severity,
        "state": str(one.state),
        "summary": one.summary,
        "links": links,
    }
    return {"msgtype": INCIDENT, "body": words([one], page_url), "incident": incident}


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ApiError) else f"{type(error).__name__}: {error}"
