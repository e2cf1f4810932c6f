"""Encrypting devices for the tests, which remember what they read and heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monitoring.client.api import Account, Api
from monitoring.client.secure import LinkingDevice, Received, SecureDevice
from tests.support.servers import eventually


class Talker:
    """A connected encrypting device."""

    def __init__(self, api: Api, account: Account, state: Path | None = None) -> None:
        self.api = api
        self.account = account
        self.messages: list[Received] = []
        self.events: list[dict[str, Any]] = []
        self.device = SecureDevice(
            api, account, state=state, on_message=self.messages.append, on_event=self.events.append
        )
        self.device.connect()
        self.next("synced")

    def heard(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Every event of this type so far that has these fields."""
        return [e for e in self.events if e["type"] == kind and all(e.get(k) == v for k, v in fields.items())]

    def next(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first such event, waited for."""
        return eventually(lambda: self.heard(kind, **fields))[0]

    def read_text(self, text: str) -> Received:
        """The message with this text, waited for."""
        return eventually(lambda: [m for m in tuple(self.messages) if m.text == text])[0]

    def texts(self) -> list[str]:
        """Everything that was read."""
        return [message.text for message in tuple(self.messages)]

    def say(self, conv: int, text: str) -> None:
        """Send, and wait until the server has it."""
        self.next("ack", id=self.device.send(conv, text))

    def link(self, api: Api, device_type: str, name: str) -> Account:
        """Let a new device in, which speaks to `api`, as a person does: compare the codes, confirm."""
        offer = self.api.offer_link(self.account)
        new = LinkingDevice(api, offer["payload"], device_type, name)
        claimed = self.next("link", link=offer["link"], event="claimed")
        assert (claimed["comparison"], claimed["name"], claimed["device_type"]) == (new.comparison, name, device_type)
        self.api.confirm_link(self.account, offer["link"])
        account = new.wait(self.account.name)
        self.next("link", link=offer["link"], event="completed", device=account.device)
        return account

    def close(self) -> None:
        """Disconnect."""
        self.device.close()
