"""Names as Matrix writes them, canonical JSON, and signatures over it.

Source: Matrix specification, appendices, "Canonical JSON", "Signing JSON", "Common identifier format".
"""

from __future__ import annotations

import json
import re
from typing import Any

from vodozemac import Account, Ed25519PublicKey, Ed25519Signature

SERVER = "messenger"
OLM = "m.olm.v1.curve25519-aes-sha2"
MEGOLM = "m.megolm.v1.aes-sha2"
ONE_TIME = "signed_curve25519"

Json = dict[str, Any]
_USER = re.compile(rf"@([1-9][0-9]{{0,15}}):{SERVER}")


def user_name(user: int) -> str:
    """
    >>> user_name(12)
    '@12:messenger'
    """
    return f"@{user}:{SERVER}"


def user_of(name: str) -> int | None:
    """The id in a name; None when it is no name of a user here."""
    match = _USER.fullmatch(name)
    return int(match[1]) if match else None


def room_name(conv: int) -> str:
    """
    >>> room_name(5)
    '!5:messenger'
    """
    return f"!{conv}:{SERVER}"


def canonical(value: Json) -> bytes:
    """What is signed.

    >>> canonical({"b": 1, "a": "ü", "signatures": {}, "unsigned": {}})
    b'{"a":"\\xc3\\xbc","b":1}'
    """
    signed = {key: item for key, item in value.items() if key not in ("signatures", "unsigned")}
    return json.dumps(signed, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def sign(value: Json, account: Account, user: int, device: int) -> Json:
    """`value` with this device's signature."""
    signature = account.sign(canonical(value)).to_base64()
    return value | {"signatures": {user_name(user): {f"ed25519:{device}": signature}}}


def is_signed(value: Json, user: int, device: int, ed25519: str) -> bool:
    """Whether `value` carries a signature of that device that fits its key; never raises."""
    try:
        signature = value["signatures"][user_name(user)][f"ed25519:{device}"]
        key = Ed25519PublicKey.from_base64(ed25519)
        key.verify_signature(canonical(value), Ed25519Signature.from_base64(signature))
    except (KeyError, TypeError, ValueError):
        return False
    return True
