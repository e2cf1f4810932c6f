"""How a run of a probe can fail, from closed lists, and whose fault it was: the messenger's, or the prober's own."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Iterator

import requests
import websocket

from monitoring.client.api import ApiError
from monitoring.client.socket import ConnectionFailed

FAILURES = ("dns", "tcp", "tls", "upgrade", "auth", "timeout", "close", "refused", "wrong")
"""Where a run failed: the name, the connection, its encryption, the handshake (refused), the token or the sign-in
(refused), the deadline, an end of the connection, a refusal of what was asked, or an answer that is not the promised
one."""
OWN_FAULTS = ("starved", "resources", "limited", "bug")
"""Why a run says nothing of the messenger: it started too late, the machine ran out of something, the messenger
found that the prober asks too often, or the prober has a mistake in it."""
TOO_MANY = 429
_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC, errno.EADDRNOTAVAIL}
MIN_STEP_S = 0.05


class Wrong(Exception):
    """The messenger answered, and not what it promises."""


class Refused(Exception):
    """The messenger refused what was asked; what it said is in the text."""


class Deadline:
    """The moment (Unix seconds) by which a run must be through."""

    def __init__(self, at: float) -> None:
        self.at = at

    def left_s(self) -> float:
        """Seconds that are left. Raises TimeoutError when none is."""
        left_s = self.at - time.time()
        if left_s <= 0:
            raise TimeoutError
        return max(left_s, MIN_STEP_S)


_REASONS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("timeout", (TimeoutError, requests.Timeout, websocket.WebSocketTimeoutException)),
    ("tls", (ssl.SSLError, requests.exceptions.SSLError)),
    ("dns", (socket.gaierror, websocket.WebSocketAddressException)),
    ("upgrade", (websocket.WebSocketBadStatusException,)),
    ("close", (websocket.WebSocketException,)),
    ("refused", (Refused,)),
    ("wrong", (Wrong, ValueError, KeyError)),
    ("tcp", (OSError,)),
)
MESSENGERS = (ApiError, ConnectionFailed, *(kind for _, kinds in _REASONS for kind in kinds))
"""What the messenger, or the way to it, can do to a run. Anything else is a mistake in the prober."""


def reason(error: BaseException) -> str:
    """Where a run failed: one of FAILURES. What lies behind an error of the client tells more than it itself.

    >>> reason(ConnectionRefusedError()), reason(TimeoutError()), reason(ApiError(503, "unavailable", ""))
    ('tcp', 'timeout', 'refused')
    """
    if isinstance(error, ApiError | ConnectionFailed) and error.__cause__ is None:
        return "auth" if isinstance(error, ApiError) and error.status in (401, 403) else "refused"
    for name, kinds in _REASONS:
        if any(isinstance(cause, kinds) for cause in _causes(error)):
            return name
    return "tcp"


def own_fault(error: BaseException) -> str | None:
    """Why a run that ended so says nothing of the messenger: one of OWN_FAULTS, or None when it does.

    >>> own_fault(OSError(errno.EMFILE, "too many open files")), own_fault(ConnectionRefusedError())
    ('resources', None)
    >>> own_fault(ApiError(429, "too_many", "")), own_fault(ApiError(503, "unavailable", ""))
    ('limited', None)
    """
    if isinstance(error, ApiError) and error.status == TOO_MANY:
        return "limited"
    for one in _causes(error):
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno in _RESOURCES):
            return "resources"
    return None if isinstance(error, MESSENGERS) else "bug"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps; requests and urllib3 put the cause among their arguments."""
    yield error
    inner = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
    for cause in dict.fromkeys(one for one in inner if isinstance(one, BaseException)):
        yield from _causes(cause)
