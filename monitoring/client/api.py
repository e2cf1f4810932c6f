"""The messenger's HTTP API, as far as the platform uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from monitoring.client.http import Answer, ask

TIMEOUT_S = 10.0


class ApiError(Exception):
    """The server answered with an error; `status` 0 means that it did not answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code


@dataclass(slots=True)
class Account:
    """A signed-in device. The tokens change with each refresh."""

    name: str
    user: int
    device: int
    access_token: str
    refresh_token: str


class Api:
    """One server, addressed as `http://host:port`."""

    def __init__(self, base_url: str, timeout_s: float = TIMEOUT_S, probe_token: str | None = None) -> None:
        """`probe_token`: whoever registers here is marked as a probe, and is in no number of the users."""
        self._probe_token = probe_token
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s

    @property
    def ws_url(self) -> str:
        """Where its WebSocket listens."""
        return "ws" + self.base_url.removeprefix("http") + "/ws"

    def register(self, name: str, password: str, device_type: str = "WEB", device_name: str = "client") -> Account:
        """A new person. Raises ApiError (409 when the name is taken)."""
        return self._sign("/auth/register", name, password, device_type, device_name, self._probe_token)

    def login(self, name: str, password: str, device_type: str = "WEB", device_name: str = "client") -> Account:
        """A new device of a person. Raises ApiError."""
        return self._sign("/auth/login", name, password, device_type, device_name)

    def refresh(self, account: Account) -> None:
        """Renew both tokens of `account` in place. Raises ApiError."""
        tokens = self.call("POST", "/auth/refresh", {"refresh_token": account.refresh_token})
        account.access_token, account.refresh_token = tokens["access_token"], tokens["refresh_token"]

    def ws_token(self, account: Account) -> str:
        """A single-use token for the query of a WebSocket URL. Raises ApiError."""
        token: str = self.call("POST", "/auth/ws-token", token=account.access_token)["token"]
        return token

    def create_conversation(self, account: Account, members: list[str], title: str | None = None) -> int:
        """A conversation with the people called `members`; its id. Raises ApiError."""
        form = {"members": members} | ({"title": title} if title else {})
        conv: int = self.call("POST", "/api/conversations", form, account.access_token)["id"]
        return conv

    def conversations(self, account: Account) -> list[dict[str, Any]]:
        """What `account` is in: dicts with id, title, head, from_seq, read, members, users. Raises ApiError."""
        rows: list[dict[str, Any]] = self.call("GET", "/api/conversations", token=account.access_token)["conversations"]
        return rows

    def heads(self, account: Account) -> dict[int, int]:
        """The last seq of each conversation: cursors for a device that does not want what was before it."""
        return {row["id"]: row["head"] for row in self.conversations(account)}

    def devices(self, account: Account) -> list[dict[str, Any]]:
        """The person's devices: dicts with id, type, name, created_at, last_seen_at, connected, current."""
        rows: list[dict[str, Any]] = self.call("GET", "/api/devices", token=account.access_token)["devices"]
        return rows

    def revoke(self, account: Account, device: int) -> None:
        """Sign a device of the person out for good. Raises ApiError."""
        self.call("DELETE", f"/api/devices/{device}", token=account.access_token)

    def offer_link(self, account: Account) -> dict[str, Any]:
        """Let a new device in: link, payload, code, qr_svg, expires_at, expires_in. Raises ApiError."""
        offer: dict[str, Any] = self.call("POST", "/api/links", token=account.access_token)
        return offer

    def claim_link(self, offered: str, device_type: str, device_name: str, key: str = "") -> dict[str, Any]:
        """Ask to be let in, by a payload or a code: link, claim_token, nonce, comparison. Raises ApiError."""
        by = "payload" if offered.startswith("messenger-link:") else "code"
        form = {by: offered, "device": {"type": device_type, "name": device_name}, "key": key}
        claim: dict[str, Any] = self.call("POST", "/api/links/claim", form)
        return claim

    def confirm_link(self, account: Account, link: int, accept: bool = True) -> None:
        """Let the new device in, or not. Raises ApiError."""
        self.call("POST", f"/api/links/{link}/confirm", {"accept": accept}, account.access_token)

    def collect_link(self, name: str, claim_token: str) -> Account:
        """Be signed in as a device of `name`, after the other device has confirmed. Raises ApiError."""
        return _account(name, self.call("POST", "/api/links/collect", {"claim_token": claim_token}))

    def call(self, method: str, path: str, form: Any = None, token: str | None = None) -> Any:
        """One request; its decoded answer. Raises ApiError."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = ask(method, self.base_url + path, self._timeout_s, json=form, headers=headers)
        except requests.RequestException as error:
            raise ApiError(0, "unreachable", str(error)) from error
        if answer.status >= 400:
            raise ApiError(answer.status, *_error_of(answer))
        return answer.json() if answer.body else None

    def _sign(
        self, path: str, name: str, password: str, device_type: str, device_name: str, probe_token: str | None = None
    ) -> Account:
        form = {"name": name, "password": password, "device": {"type": device_type, "name": device_name}}
        marked = {"probe": True} if probe_token else {}
        return _account(name, self.call("POST", path, form | marked, probe_token))


def _account(name: str, tokens: dict[str, Any]) -> Account:
    return Account(name, tokens["user"], tokens["device"], tokens["access_token"], tokens["refresh_token"])


def _error_of(answer: Answer) -> tuple[str, str]:
    try:
        told = answer.json()
        return str(told["code"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        return "unknown", answer.body[:200].decode(errors="replace")
