"""Whether a device really signed a JSON object: Ed25519 over its canonical form.

Source: Matrix specification, appendices, "Canonical JSON" and "Signing JSON".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES = 32
_MAX_INTEGER = 2**53 - 1


def canonical(value: Mapping[str, Any]) -> bytes:
    """What is signed: keys in order, no spaces, UTF-8, without `signatures` and `unsigned`.

    Raises ValueError for numbers that are no integers of at most 53 bits.

    >>> canonical({"b": 1, "a": "ü", "signatures": {}})
    b'{"a":"\\xc3\\xbc","b":1}'
    """
    signed = {key: value[key] for key in value if key not in ("signatures", "unsigned")}
    _require_exact(signed)
    return json.dumps(signed, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _require_exact(value: Any) -> None:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > _MAX_INTEGER):
        raise ValueError("numbers must be integers of at most 53 bits")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _require_exact(item)


def decode_key(text: object) -> bytes | None:
    """The bytes of a public key in unpadded base64; None when it is none.

    >>> len(decode_key("A" * 43)), decode_key("A" * 44), decode_key(7)
    (32, None, None)
    """
    return _unpadded(text, KEY_BYTES)


def _unpadded(text: object, size_bytes: int) -> bytes | None:
    if not isinstance(text, str) or len(text) != -(-size_bytes * 4 // 3):
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def is_signed(value: Mapping[str, Any], user_name: str, key_name: str, public_key: bytes) -> bool:
    """Whether `value` carries a signature of `user_name` by `key_name` that fits `public_key`; never raises."""
    signatures = value.get("signatures")
    of_user = signatures.get(user_name) if isinstance(signatures, dict) else None
    signature = _unpadded(of_user.get(key_name) if isinstance(of_user, dict) else None, 64)
    if signature is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, canonical(value))
    except (InvalidSignature, ValueError, RecursionError):
        return False
    return True
