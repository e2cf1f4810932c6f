"""A node that goes away answers what was sent to it, unless it is told twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from tests.support.people import Listener, listening, register
from tests.support.servers import Node, eventually, running_node
from tests.support.sql import rows


@contextmanager
def held_back(node: Node, database_url: str, listener: Listener) -> Iterator[str]:
    """A send whose commit waits, for a lock of ours, until the block ends; its id."""
    conv = node.api.create_conversation(listener.account, [register(node.api).name])
    with psycopg2.connect(database_url) as lock, lock.cursor() as cursor:
        cursor.execute("SELECT 1 FROM conversations WHERE id = %s FOR NO KEY UPDATE", (conv,))
        sent = listener.socket.send_message(conv, "just in time")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'commit_sends'"
        eventually(lambda: rows(database_url, waiting)[0][0])
        yield sent


def test_a_send_under_way_is_answered_before_the_close(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node, listening(node.api, register(node.api)) as listener:
        with held_back(node, database_url, listener) as sent:
            node.process.send_signal(signal.SIGTERM)
            listener.next("drain")
        listener.next("ack", id=sent)
        assert node.process.wait(timeout=15) == 0
        eventually(listener.socket.closed.is_set)
        assert listener.socket.close_code == 1012


def test_a_second_sigterm_ends_the_drain_at_once(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node, listening(node.api, register(node.api)) as listener:
        with held_back(node, database_url, listener):
            node.process.send_signal(signal.SIGTERM)
            listener.next("drain")
            node.process.send_signal(signal.SIGTERM)
            assert node.process.wait(timeout=15) == 0
        eventually(listener.socket.closed.is_set)
        assert listener.events("ack") == listener.events("error") == []  # nobody waited for the answer
