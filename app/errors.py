"""One error tree: what went wrong, as a code for programs and a sentence for people.

Each class carries the HTTP status and the WebSocket close code it turns into;
`close_code` None means that the connection stays open and gets an `error` frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class AppError(Exception):
    """Anything the client, or the operator, is told about by its code."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    close_code: ClassVar[int | None] = None

    def __init__(self, message: str | None = None, details: Sequence[dict[str, Any]] = ()) -> None:
        """`details` are `{"field": …, "problem": …}` rows, shown to the client as they are."""
        super().__init__(message or (type(self).__doc__ or self.code).strip())
        self.details = list(details)

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)


class InvalidRequest(AppError):
    """The request does not have the form that is asked for."""

    code, http_status = "invalid_request", 400


class Unauthenticated(AppError):
    """Sign in first: the token is missing or not valid."""

    code, http_status, close_code = "unauthenticated", 401, 1008


class TokenExpired(Unauthenticated):
    """The token has expired; refresh it and come back."""

    code, close_code = "token_expired", 4402


class DeviceRevoked(AppError):
    """This device was signed out by its owner; it must not come back."""

    code, http_status, close_code = "device_revoked", 401, 4401


class Forbidden(AppError):
    """You may not do this."""

    code, http_status = "forbidden", 403


class NotFound(AppError):
    """There is no such thing, or it is not yours to see."""

    code, http_status = "not_found", 404


class Conflict(AppError):
    """This contradicts what is already there."""

    code, http_status = "conflict", 409


class CallOver(AppError):
    """This call has ended, or rang for too long."""

    code, http_status = "call_over", 410


class LinkUnknown(NotFound):
    """There is no such link: it was mistyped, or withdrawn."""

    code, close_code = "link_unknown", 1008


class LinkExpired(AppError):
    """This link has expired; ask for a new one on the signed-in device."""

    code, http_status, close_code = "link_expired", 410, 1008


class LinkUsed(Conflict):
    """This link was used already; ask for a new one on the signed-in device."""

    code = "link_used"


class LinkWaiting(Conflict):
    """The signed-in device has not confirmed this link yet."""

    code = "link_waiting"


class LinkRefused(Forbidden):
    """The signed-in device refused this link."""

    code = "link_refused"


class TooLarge(AppError):
    """This is larger than what is taken."""

    code, http_status = "too_large", 413


class TooMany(AppError):
    """Too many requests; wait and try again."""

    code, http_status = "rate_limited", 429


class Unavailable(AppError):
    """The service cannot do this now; nothing was done, or a retry with the same id is safe."""

    code, http_status, close_code = "unavailable", 503, None


class BackupError(AppError):
    """A backup could not be taken or restored; what was there is as it was."""

    code = "backup"


class ConfigError(AppError):
    """The configuration has mistakes; all of them are listed."""

    code = "config"

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = list(mistakes)
