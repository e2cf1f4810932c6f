"""Letting a new device in by one that is signed in: the secrets of a link, and the code both people compare.

The link is offered twice: as a payload with 256 bits for a QR code, and as a code of 50 bits that a person can type.
Both are valid for five minutes and once. Whoever claims a link shows what it is (type, name, its public key); the
device that made the link sees it and decides.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Literal

from app.domain.ids import DeviceId, UserId

State = Literal["open", "claimed", "confirmed", "refused", "completed"]

LIFETIME_S = 300
PAYLOAD_PREFIX = "messenger-link:"
CODE_CHARS = 10
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like a digit."""
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})
_PAYLOAD = re.compile(rf"{PAYLOAD_PREFIX}([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True, slots=True)
class Link:
    """One link as it is stored. `device` made it; `new_…` describe who claimed it; the database says `expired`."""

    id: int
    user: UserId
    device: DeviceId
    state: State
    expired: bool
    new_type: str | None = None
    new_name: str | None = None
    new_key: str | None = None
    nonce: str | None = None
    comparison: str | None = None
    new_device: DeviceId | None = None


def new_secret() -> str:
    """A secret of 256 bits, as text that fits a URL."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """A code of 50 bits that can be read out and typed."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARS))


def spell(code: str) -> str:
    """How a code is shown.

    >>> spell("7Q4MZ0K2XB")
    '7Q4MZ-0K2XB'
    """
    half = CODE_CHARS // 2
    return f"{code[:half]}-{code[half:]}"


def read_code(text: str) -> str | None:
    """The code somebody typed, however they wrote it; None when it cannot be one.

    >>> read_code(" 7q4mz okzxb ")
    '7Q4MZ0KZXB'
    >>> read_code("7q4mz") is None
    True
    """
    code = re.sub(r"[\s-]", "", text.upper()).translate(_LOOKALIKES)
    return code if len(code) == CODE_CHARS and set(code) <= set(_ALPHABET) else None


def read_payload(text: str) -> str | None:
    """The secret in a scanned payload; None when it is none of ours."""
    match = _PAYLOAD.fullmatch(text.strip())
    return match[1] if match else None


def comparison_code(link: int, key: str, nonce: str) -> str:
    """Six digits that both devices show, from what both know: whoever put another key in between has another code.

    `key` is the claimer's public key ("" without one), `nonce` the server's for this claim.

    >>> comparison_code(7, "abc", "xyz")
    '367 900'
    """
    digest = hashlib.sha256(f"messenger link|{link}|{key}|{nonce}".encode()).digest()
    digits = f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06}"
    return f"{digits[:3]} {digits[3:]}"
