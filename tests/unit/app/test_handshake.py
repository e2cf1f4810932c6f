"""The opening handshake as a decision; `test_conformance` makes it over real connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.handshake import HandshakeError, accept

GOOD = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "chat.example",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


def status_of(environ: dict[str, str], *allowed: str) -> int:
    try:
        return int(accept(environ, allowed).split(b" ")[1])
    except HandshakeError as error:
        return error.status


def test_the_answer_of_the_standard() -> None:
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accept(GOOD, ())


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        ("https://chat.example", (), 101),
        ("http://chat.example", (), 101),
        ("https://evil.example", (), 403),
        ("https://evil.example", ("https://app.example",), 403),
        ("https://app.example", ("https://app.example",), 101),
        ("https://evil.example", ("*",), 101),
        ("null", (), 403),
    ],
)
def test_a_browser_comes_from_where_it_may(origin: str, allowed: tuple[str, ...], status: int) -> None:
    assert status_of(GOOD | {"HTTP_ORIGIN": origin}, *allowed) == status


@given(st.sampled_from(sorted(GOOD)), st.one_of(st.none(), st.text()))
def test_any_damaged_header_is_answered(name: str, value: str | None) -> None:
    environ = dict(GOOD)
    if value is None:
        del environ[name]
    else:
        environ[name] = value
    assert status_of(environ) in {101, 400, 426}
