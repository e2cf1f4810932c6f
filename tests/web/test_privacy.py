"""Who has the server's database, its logs and its network traffic cannot read what was said.

Everything is searched for words that only the two people know. What the server does know, the title of the
conversation, is searched for in the same way, and found: the search can find something.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import MEDIA_DIR, Node
from tests.support.sql import rows
from tests.support.web import Human, human

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Response, WebSocket

MARKER = "quixotic-heron-4711"
FILE_MARKER = "velvet-anchor-0815"
FILE_NAME = "unlikely-name-2342"
KNOWN = "Known title 9001"


class Wiretap:
    """Everything that passed between a browser and its server, as the server sees it: decrypted of TLS, unmasked."""

    def __init__(self, someone: Human) -> None:
        self.heard: list[bytes] = []
        someone.page.on("websocket", self._socket)
        someone.page.on("requestfinished", lambda request: self.heard.append(request.post_data_buffer or b""))
        someone.page.on("request", lambda request: self.heard.append(request.url.encode()))
        someone.page.on("response", self._answer)

    def _socket(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: self._frame(frame))
        socket.on("framereceived", lambda frame: self._frame(frame))

    def _frame(self, frame: str | bytes) -> None:
        self.heard.append(frame.encode() if isinstance(frame, str) else frame)

    def _answer(self, response: Response) -> None:
        if "/api/" in response.url or "/media/" in response.url:
            self.heard.append(response.body())


def forms(word: str) -> Iterator[bytes]:
    """How a word may stand in bytes: as it is, in UTF-16, in hex, and in base64 at each of three offsets."""
    raw = word.encode()
    yield raw
    yield word.encode("utf-16-le")
    yield raw.hex().encode()
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw)
        yield padded[4 if offset else 0 : len(padded) - 4]


def holds(data: bytes, word: str) -> bool:
    return any(form in data for form in forms(word))


@pytest.mark.parametrize("word", [MARKER, KNOWN])
def test_the_search_finds_a_word_in_every_form(word: str) -> None:
    for shift in range(3):
        assert holds(base64.b64encode(b"x" * shift + word.encode() + b"tail"), word)
    assert holds(b"before " + word.encode() + b" after", word)
    assert not holds(b"something else", word)


def test_no_word_of_a_message_is_in_the_database_the_logs_the_media_or_on_the_wire(
    browser: Browser, nodes: tuple[Node, Node], shared_database_url: str
) -> None:
    with human(browser, nodes[0].api.base_url) as ann, human(browser, nodes[1].api.base_url) as bob:
        taps = [Wiretap(ann), Wiretap(bob)]
        ann.register("ann")
        bob.register("bob")
        ann.begin(bob.name, title=KNOWN)
        ann.write(f"the word is {MARKER}")
        bob.open(KNOWN)
        bob.sees(f"the word is {MARKER}")
        content = {"name": f"{FILE_NAME}.txt", "mimeType": "text/plain", "buffer": FILE_MARKER.encode() * 40}
        ann.page.locator("input[type=file]").set_input_files(content)
        with bob.page.expect_download() as saved:
            bob.page.get_by_role("button", name=f"{FILE_NAME}.txt").click()
        assert FILE_MARKER.encode() in Path(saved.value.path()).read_bytes()
        bob.write(f"{MARKER}, I see")
        ann.sees(f"{MARKER}, I see")

        tables = [
            name for (name,) in rows(shared_database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        database = "\n".join(
            str(row) for name in tables for row in rows(shared_database_url, f'SELECT t::text FROM "{name}" t')
        ).encode()
        logs = b"".join(node.log.read_bytes() for node in nodes)
        media = b"".join(path.read_bytes() for path in Path(MEDIA_DIR).rglob("*") if path.is_file())
        wire = [b"\n".join(tap.heard) for tap in taps]

        for place, data in {
            "database": database,
            "logs": logs,
            "media": media,
            "Ann's wire": wire[0],
            "Bob's wire": wire[1],
        }.items():
            for word in (MARKER, FILE_MARKER, FILE_NAME):
                assert not holds(data, word), f"{word} is in the {place}"
        assert holds(database, KNOWN)
        assert all(holds(tapped, KNOWN) for tapped in wire)
        assert holds(logs, "/api/to-device/")
        assert len(media) >= 40 * len(FILE_MARKER)
        for secret in ("access_token", "refresh_token", "correct horse"):
            assert not holds(logs, secret)
        urls = [data for tap in taps for data in tap.heard if data.startswith((b"http", b"ws"))]
        assert urls and not any(b"token" in url or b"eyJ" in url for url in urls)
