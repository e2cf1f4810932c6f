"""The socket that a node listens on."""

from __future__ import annotations

import socket

import pytest

from app.errors import ConfigError
from app.server import bind


def test_what_is_accepted_sends_the_body_of_an_answer_without_waiting_for_its_head_to_be_acknowledged() -> None:
    with bind("PORT", "127.0.0.1", 0, shared=False) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname(), timeout=5):
            listening.settimeout(5)
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with bind("PORT", "127.0.0.1", 0, shared=False) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"PORT: port {port} cannot be used"):
            bind("PORT", "127.0.0.1", port, shared=False)
