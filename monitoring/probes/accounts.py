"""The people a prober is: made on first use, kept in a file only its owner may read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from monitoring.errors import ConfigError, Mistake


class ProbeAccounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names and the common password of the prober's people."""

    sender: str
    receiver: str
    password: str

    @property
    def connector(self) -> str:
        """Who connects afresh each time: a person of its own, in no conversation."""
        return f"{self.sender}-connects"

    def on(self, source: str, target: str) -> ProbeAccounts:
        """Who sends canaries from one place to another: people of their own, or one stream would explain the next."""
        route = f"-{source}-{target}"
        return ProbeAccounts(self.sender + route, self.receiver + route, self.password)


def load_or_create(path: Path) -> ProbeAccounts:
    """The accounts in `path`, which is written (mode 600) when it does not exist. Raises ConfigError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ProbeAccounts)
    except FileNotFoundError:
        return _create(path)
    except (msgspec.DecodeError, OSError) as error:
        raise ConfigError([Mistake(str(path), 1, f"is no probe account file: {error}")]) from None


def _create(path: Path) -> ProbeAccounts:
    suffix = secrets.token_hex(4)
    accounts = ProbeAccounts(f"canary-sender-{suffix}", f"canary-receiver-{suffix}", secrets.token_urlsafe(24))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(accounts))
    return accounts
