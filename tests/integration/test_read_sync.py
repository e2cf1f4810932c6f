"""Read markers on the reader's other devices are counted as owed and as in time, whichever way they come."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from monitoring.client.socket import ConnectionFailed, Socket
from tests.support.people import PASSWORD, listening, register
from tests.support.servers import ADMIN_TOKEN, Node, eventually, running_node


def owed(node: Node, path: str = "read_sync") -> float:
    return node.metric("messenger_fanout_owed_total", path=path)


def in_time(node: Node) -> float:
    return node.metric("messenger_fanout_latency_seconds_bucket", path="read_sync", le="2.0")


def arrived(node: Node) -> float:
    return node.metric("messenger_fanout_latency_seconds_count", path="read_sync")


def test_each_other_device_is_owed_the_marker_also_where_only_the_log_brings_it(
    database_url: str, tmp_path: Path
) -> None:
    """Without Redis: the tablet on node two hears of it by a poll."""
    with running_node(database_url, tmp_path / "one") as one, running_node(database_url, tmp_path / "two") as two:
        ann, bob = register(one.api), register(one.api)
        laptop, tablet = (one.api.login(ann.name, PASSWORD) for _ in range(2))
        conv = one.api.create_conversation(ann, [bob.name])
        with ExitStack() as stack:
            places = ((one, ann), (one, laptop), (one, bob), (two, tablet))
            phone, *others = [stack.enter_context(listening(node.api, account)) for node, account in places]
            seq = phone.send(conv, "read me")["seq"]
            for listener in others:
                listener.next("message", seq=seq)
            phone.socket.command({"type": "read", "conv": conv, "seq": seq})
            for listener in others:
                listener.next("read", user=ann.user, seq=seq)
            assert (owed(one), in_time(one)) == (1, 1)
            assert owed(one, "read") == 2  # bob, and the phone itself
            eventually(lambda: (owed(two), in_time(two)) == (1, 1))
            assert two.metric("messenger_fanout_recovered_total", path="read") == 1


def test_a_marker_that_cannot_be_stored_is_owed_while_it_waits_and_late_in_the_end(
    database_url: str, tmp_path: Path
) -> None:
    with running_node(database_url, tmp_path / "log") as node, closing(psycopg2.connect(database_url)) as blocker:
        ann = register(node.api)
        conv = node.api.create_conversation(ann, [register(node.api).name])
        laptop = node.api.login(ann.name, PASSWORD)
        with listening(node.api, ann) as phone, listening(node.api, laptop) as at_laptop:
            seq = phone.send(conv, "read me")["seq"]
            at_laptop.next("message", seq=seq)
            blocker.cursor().execute("LOCK TABLE read_markers IN SHARE ROW EXCLUSIVE MODE")
            phone.socket.command({"type": "read", "conv": conv, "seq": seq})
            eventually(lambda: owed(node) == 1)
            assert arrived(node) == 0
            blocker.rollback()
            at_laptop.next("read", seq=seq)
            assert (owed(node), arrived(node), in_time(node)) == (1, 1, 0)


def test_the_switches_refuse_sends_and_handshakes_and_count_them_as_our_own_errors(
    database_url: str, tmp_path: Path
) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        ann = register(node.api)
        conv = node.api.create_conversation(ann, [register(node.api).name])
        errors = {"transport": "ws", "outcome": "server_error"}
        with listening(node.api, ann) as phone:
            node.api.call("POST", "/test/faults", {"refuse_sends": True, "refuse_connects": True}, ADMIN_TOKEN)
            message_id = phone.socket.send_message(conv, "no")
            assert phone.next("error", id=message_id)["code"] == "unavailable"
            with pytest.raises(ConnectionFailed, match="503"):
                Socket(node.api.ws_url, ann.access_token, lambda _event: None)
            assert node.metric("messenger_requests_total", **errors) == 1
            assert node.metric("messenger_fault_active", fault="refuse_connects") == 1
            node.api.call("POST", "/test/faults", {}, ADMIN_TOKEN)
            assert phone.send(conv, "yes")["seq"]
            assert node.metric("messenger_fault_active", fault="refuse_connects") == 0
