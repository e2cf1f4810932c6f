"""The opening handshake of a WebSocket (RFC 6455, section 4.2), as a decision over request headers."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class HandshakeError(Exception):
    """The request cannot become a WebSocket; `status` is the HTTP answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def accept(environ: Mapping[str, str], allowed_origins: Collection[str]) -> bytes:
    """The 101 response for this WSGI environ, or HandshakeError.

    An Origin (sent by every browser) must be in `allowed_origins`, or "*" must be, or it must be
    the origin of this very server. No extension and no subprotocol is ever accepted; what is offered is ignored.
    A header that was sent twice comes here as one with a comma, which only a list may hold.
    """
    _check_request(environ)
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    if not _is_nonce(key):
        raise HandshakeError(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    origin = environ.get("HTTP_ORIGIN")
    if origin and not _allowed(origin, environ.get("HTTP_HOST", ""), allowed_origins):
        raise HandshakeError(403, "this origin is not in CORS_ORIGIN")
    digest = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
    )


def _check_request(environ: Mapping[str, str]) -> None:
    if environ.get("REQUEST_METHOD") != "GET" or "websocket" not in _tokens(environ.get("HTTP_UPGRADE")):
        raise HandshakeError(426, "this address speaks WebSocket")
    if environ.get("SERVER_PROTOCOL") in ("HTTP/0.9", "HTTP/1.0"):
        raise HandshakeError(400, "the request must be HTTP/1.1")
    if "upgrade" not in _tokens(environ.get("HTTP_CONNECTION")):
        raise HandshakeError(400, "the Connection header must name Upgrade")
    host = environ.get("HTTP_HOST", "").strip()
    if not host or "," in host:
        raise HandshakeError(400, "there must be one Host header")
    if environ.get("CONTENT_LENGTH", "0").strip() not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        # Its bytes would be taken for frames.
        raise HandshakeError(400, "the request must have no body")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() != "13":
        raise HandshakeError(426, "only version 13 of the protocol is spoken")


def _tokens(header: str | None) -> set[str]:
    return {token.strip().lower() for token in (header or "").split(",")}


def _is_nonce(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _allowed(origin: str, host: str, allowed: Collection[str]) -> bool:
    return "*" in allowed or origin in allowed or origin in (f"http://{host}", f"https://{host}")
