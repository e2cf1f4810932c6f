"""Password hashing (argon2id), kept off the event loop.

One verification takes a quarter of a second of CPU; in the loop's thread pool, two at
a time, it delays nobody else's messages.
"""

from __future__ import annotations

import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from gevent import get_hub
from gevent.lock import BoundedSemaphore

_hasher = PasswordHasher()
_two_at_once = BoundedSemaphore(2)


@functools.cache
def _nobody() -> str:
    """Verified when there is no such user, so that an unknown name takes as long as a wrong password.

    Made once, at the first password of a process and not when it starts: that is a fifth of a node's start.
    """
    return _hasher.hash("nobody")


def hash_password(password: str) -> str:
    """The argon2id hash to store."""
    with _two_at_once:
        hashed: str = get_hub().threadpool.apply(_hasher.hash, (password,))
        return hashed


def verify_password(password: str, hashed: str | None) -> bool:
    """Whether the password fits; `hashed` None (no such user) takes the same time and says no."""
    with _two_at_once:
        nobody: str = get_hub().threadpool.apply(_nobody)  # whoever is asked about, so that it shows nothing
        fits: bool = get_hub().threadpool.apply(_verify, (hashed or nobody, password))
    return fits and hashed is not None


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
