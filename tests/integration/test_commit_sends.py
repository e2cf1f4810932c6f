"""The commit of a batch: dense numbers, one row a client id, membership in the same statement."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
import pytest

from app import config, seeding
from app.domain.ids import ConversationId, DeviceId, UserId
from app.store import messages
from app.store.db import Connection
from app.store.messages import NewMessage


@dataclass
class World:
    """Two conversations of two people each, and a connection."""

    url: str
    conn: Connection
    lines: list[dict[str, int]]

    def message(self, person: int = 0, client_id: str = "a", body: str = "hi", conv: int | None = None) -> NewMessage:
        line = self.lines[person]
        target = conv or line["conversations"][0]  # type: ignore[index]
        return NewMessage(
            ConversationId(target), UserId(line["user"]), DeviceId(line["device"]), client_id, body, time.time()
        )

    def commit(self, *batch: NewMessage) -> list[tuple[str, int]]:
        with self.conn:
            return [(c.outcome, c.seq) for c in messages.commit_sends(self.conn, batch)]

    def numbers(self, conv: int) -> list[int]:
        with self.conn, self.conn.cursor() as cursor:
            cursor.execute("SELECT seq FROM messages WHERE conversation_id = %s ORDER BY seq", (conv,))
            found = [row[0] for row in cursor.fetchall()]
            cursor.execute("SELECT head FROM conversations WHERE id = %s", (conv,))
            assert cursor.fetchone() == (len(found),), "the counter and the log agree"
        return found


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    tokens = tmp_path / "tokens"
    seeding.seed(config.load({"DATABASE_URL": database_url}), seeding.Plan(4, 1, 2, 3600), tokens)
    conn = psycopg2.connect(database_url)
    yield World(database_url, conn, [json.loads(line) for line in tokens.read_text().splitlines()])
    conn.close()


def test_a_batch_is_numbered_in_its_order(world: World) -> None:
    batch = [world.message(client_id=str(n)) for n in range(5)]
    assert world.commit(*batch) == [("new", seq) for seq in range(3, 8)]  # 1 and 2 say who joined
    assert world.numbers(batch[0].conv) == list(range(1, 8))


def test_a_retry_gets_the_first_number_again(world: World) -> None:
    message = world.message()
    assert world.commit(message) == [("new", 3)]
    assert world.commit(message, world.message(client_id="b"), message) == [("known", 3), ("new", 4), ("known", 3)]


def test_the_same_id_twice_in_one_batch_is_one_row(world: World) -> None:
    message = world.message()
    assert world.commit(message, message) == [("new", 3), ("known", 3)]


def test_the_same_id_for_something_else_is_refused(world: World) -> None:
    message = world.message()
    changed = replace(message, body="changed")
    assert world.commit(message, changed) == [("new", 3), ("conflict", 3)]
    assert world.commit(changed) == [("conflict", 3)]


def test_only_members_may_send_and_nobody_learns_what_exists(world: World) -> None:
    foreign = world.lines[2]["conversations"][0]  # type: ignore[index]
    before = world.numbers(foreign)
    assert world.commit(world.message(conv=foreign), world.message(client_id="b", conv=10**9)) == [
        ("forbidden", 0),
        ("forbidden", 0),
    ]
    assert world.numbers(foreign) == before


def test_a_revoked_device_may_not_send(world: World) -> None:
    message = world.message()
    with world.conn, world.conn.cursor() as cursor:
        cursor.execute("UPDATE devices SET revoked_at = now() WHERE id = %s", (message.device,))
    assert world.commit(message) == [("forbidden", 0)]


def test_one_device_cannot_speak_for_another_person(world: World) -> None:
    mine, theirs = world.message(0), world.message(1)
    assert world.commit(replace(mine, user=theirs.user)) == [("forbidden", 0)]


def test_writers_at_once_with_retries_leave_no_hole_and_no_double(world: World) -> None:
    """Four writers send the same 200 messages to the same two conversations, in different orders."""
    everything = [world.message(person, f"m{n}") for n in range(50) for person in range(4)]
    answers: list[dict[tuple[int, str], int]] = []
    faults: list[BaseException] = []

    def write(step: int) -> None:
        conn = psycopg2.connect(world.url)
        mine: dict[tuple[int, str], int] = {}
        try:
            order = everything[step * 50 :] + everything[: step * 50]
            for start in range(0, len(order), 7):
                batch = order[start : start + 7]
                with conn:
                    for message, committed in zip(batch, messages.commit_sends(conn, batch), strict=True):
                        mine[message.device, message.client_id] = committed.seq
        except BaseException as error:  # noqa: BLE001  reported by the test's thread
            faults.append(error)
        finally:
            conn.close()
        answers.append(mine)

    writers = [threading.Thread(target=write, args=(step,)) for step in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert faults == []
    assert answers[0] == answers[1] == answers[2] == answers[3], "every retry got the first number"
    for conv in {message.conv for message in everything}:
        assert world.numbers(conv) == list(range(1, 103))
