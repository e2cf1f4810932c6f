"""No secret reaches a log line, under whatever key or inside whatever text."""

from __future__ import annotations

import pytest

from app.logs import STRUCK, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "event",
    [
        {"access_token": "s3cret"},
        {"Authorization": "Bearer s3cret"},
        {"password": "s3cret"},
        {"jwt_secret": "s3cret"},
        {"body": "s3cret"},
        {"event": "GET /ws?token=s3cret HTTP/1.1"},
        {"event": "GET /ws?a=1&token=s3cret&b=2"},
        {"error": "could not connect to postgresql://messenger:s3cret@db/x"},
        {"event": "header Bearer s3cret"},
    ],
)
def test_secrets_are_struck_out(event: dict[str, str]) -> None:
    struck = str(redact(None, "info", dict(event)))
    assert "s3cret" not in struck
    assert STRUCK in struck


def test_a_token_inside_a_sentence_is_struck_out() -> None:
    assert JWT not in str(redact(None, "info", {"event": f"could not use {JWT} here"}))


def test_the_rest_of_a_line_stays() -> None:
    assert redact(None, "info", {"path": "/health", "status": 200}) == {"path": "/health", "status": 200}
