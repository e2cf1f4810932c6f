"""The opening handshake (RFC 6455, section 4.2)."""

from __future__ import annotations

import pytest

from app.protocol.handshake import HandshakeError, accept

# The request and the answer of RFC 6455, section 1.3.
REQUEST = {
    "REQUEST_METHOD": "GET",
    "HTTP_HOST": "server.example.com",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


def test_the_sample_of_the_rfc() -> None:
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accept(REQUEST, ())


def test_no_extension_is_ever_accepted() -> None:
    answer = accept(REQUEST | {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate"}, ())
    assert b"Extensions" not in answer


def test_firefox_sends_two_connection_tokens() -> None:
    assert accept(REQUEST | {"HTTP_CONNECTION": "keep-alive, Upgrade"}, ()).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"HTTP_UPGRADE": "h2c"}, 426),
        ({"HTTP_CONNECTION": "keep-alive"}, 400),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426),
        ({"HTTP_SEC_WEBSOCKET_KEY": ""}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "not base64 !!"}, 400),
        ({"HTTP_ORIGIN": "https://evil.example.com"}, 403),
        ({"HTTP_ORIGIN": "null"}, 403),
    ],
)
def test_what_is_refused(change: dict[str, str], status: int) -> None:
    with pytest.raises(HandshakeError) as caught:
        accept(REQUEST | change, ("https://chat.example.com",))
    assert caught.value.status == status


@pytest.mark.parametrize("origin", ["https://chat.example.com", "https://server.example.com"])
def test_listed_and_own_origins_pass(origin: str) -> None:
    assert accept(REQUEST | {"HTTP_ORIGIN": origin}, ("https://chat.example.com",)).startswith(b"HTTP/1.1 101 ")
