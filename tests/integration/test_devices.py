"""What becomes of devices on every node, with nothing between the nodes but the log: displaced, revoked, restored."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.domain.ids import ConversationId, DeviceId, UserId
from app.metrics import Metrics
from app.services.messages import Messages
from app.store.db import Database
from app.store.messages import Stored
from monitoring.client.api import ApiError
from monitoring.client.socket import ConnectionFailed
from tests.support.people import PASSWORD, Listener, listening, register
from tests.support.servers import Node, eventually, running_node
from tests.support.sql import execute, rows


@pytest.fixture(scope="module")
def nodes(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    url, logs = shared_database_url, tmp_path_factory.mktemp("nodes")
    with running_node(url, logs / "one") as one, running_node(url, logs / "two") as two:
        yield one, two


def test_a_connection_on_another_node_displaces_the_older(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    ann = register(one.api)
    before = one.metric("messenger_sessions_displaced_total")
    older = Listener(one.api, ann)
    with listening(two.api, ann) as newer:
        eventually(older.socket.closed.is_set)
        assert older.socket.close_code == 4409
        time.sleep(0.5)  # more than two polls
        assert not newer.socket.closed.is_set()
    assert one.metric("messenger_sessions_displaced_total") == before + 1


def test_a_revoked_device_is_closed_on_every_node_and_never_comes_back(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    ann = register(one.api)
    phone = one.api.login(ann.name, PASSWORD, "MOBILE")
    stranger = register(one.api)
    lost = Listener(two.api, phone)
    with listening(one.api, ann) as here:
        with pytest.raises(ApiError, match="404"):
            one.api.call("DELETE", f"/api/devices/{phone.device}", token=stranger.access_token)
        one.api.call("DELETE", f"/api/devices/{phone.device}", token=ann.access_token)
        here.next("device", device=phone.device, event="revoked")
        eventually(lost.socket.closed.is_set)
        assert lost.socket.close_code == 4401
        assert lost.events("device", device=phone.device, event="revoked")
        with pytest.raises(ApiError, match="401"):
            one.api.refresh(phone)
        with pytest.raises(ConnectionFailed):
            Listener(one.api, phone)
        with pytest.raises(ApiError, match="404"):
            one.api.call("DELETE", f"/api/devices/{phone.device}", token=ann.access_token)


def test_a_revocation_by_plain_sql_is_told_as_well(nodes: tuple[Node, Node], shared_database_url: str) -> None:
    ann = register(nodes[0].api)
    listener = Listener(nodes[1].api, ann)
    execute(shared_database_url, f"UPDATE devices SET revoked_at = now() WHERE id = {ann.device}")
    eventually(listener.socket.closed.is_set)
    assert listener.socket.close_code == 4401


def test_read_markers_cross_nodes_through_the_log_once(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    ann, bob = register(one.api), register(one.api)
    conv = one.api.create_conversation(ann, [bob.name])
    before = one.metric("messenger_fanout_recovered_total", path="read")
    with listening(one.api, ann) as at_ann, listening(two.api, bob) as at_bob:
        ack = at_ann.send(conv, "read me")
        at_bob.next("message", seq=ack["seq"])
        at_bob.socket.command({"type": "read", "conv": conv, "seq": ack["seq"]})
        at_ann.next("read", user=bob.user, seq=ack["seq"])
        time.sleep(0.5)  # more than two polls
        assert len(at_ann.events("read")) == len(at_bob.events("read")) == 1
    assert one.metric("messenger_fanout_recovered_total", path="read") == before + 1


def test_typing_is_told_to_the_others_and_not_too_often(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    ann, bob, eve = register(one.api), register(one.api), register(one.api)
    conv = one.api.create_conversation(ann, [bob.name])
    with listening(one.api, ann) as at_ann, listening(one.api, bob) as at_bob, listening(one.api, eve) as at_eve:
        for _ in range(20):
            at_ann.socket.command({"type": "typing", "conv": conv})
        at_eve.socket.command({"type": "typing", "conv": conv})  # not hers
        at_ann.send(conv, "there")
        assert at_bob.next("message", body="there")
        assert [event["user"] for event in at_bob.events("typing")] == [ann.user]
        assert at_ann.events("typing") == []


def test_receipts_tell_of_others_messages_only(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    ann, bob = register(one.api), register(one.api)
    conv = one.api.create_conversation(ann, [bob.name])
    with listening(one.api, ann) as at_ann, listening(one.api, bob) as at_bob:
        ack = at_ann.send(conv, "hello")
        at_ann.next("receipt", user=bob.user, seq=ack["seq"])
        second = at_ann.send(conv, "again")
        at_ann.next("receipt", user=bob.user, seq=second["seq"])
        assert at_bob.events("receipt") == [], "that ann has her own message needs no telling"


def test_a_cursor_ahead_of_the_log_is_refused_with_resync(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    ann, bob = register(one.api), register(one.api)
    conv = one.api.create_conversation(ann, [bob.name])
    with listening(one.api, ann) as at_ann:
        at_ann.send(conv, "first")
        with listening(one.api, bob, {conv: 1000}, at_ann.socket.welcome["epoch"]) as at_bob:
            assert at_bob.events("resync")
            assert at_bob.bodies(conv) == ["first"]
            at_bob.socket.command({"type": "sync", "cursors": {str(conv): 1000}})
            assert "ahead of its log" in at_bob.next("error")["detail"]


def test_a_restored_database_sends_everybody_to_resync(nodes: tuple[Node, Node], shared_database_url: str) -> None:
    one, two = nodes
    ann, bob = register(one.api), register(one.api)
    conv = one.api.create_conversation(ann, [bob.name])
    before = Listener(two.api, bob)
    with listening(one.api, ann) as at_ann:
        at_ann.send(conv, "kept")
    before.next("message", body="kept")
    epoch = before.socket.welcome["epoch"]
    execute(shared_database_url, "UPDATE epoch SET id = gen_random_uuid()")
    eventually(before.socket.closed.is_set)
    assert before.socket.close_code == 1012
    with listening(two.api, bob, dict(before.socket.cursors), epoch) as after:
        assert after.next("resync")["epoch"] == after.socket.welcome["epoch"] != epoch
        assert after.bodies(conv) == ["kept"]


def test_cursors_of_another_database_or_a_lost_device_harm_nobody(
    nodes: tuple[Node, Node], shared_database_url: str
) -> None:
    one, _ = nodes
    ann, bob = register(one.api), register(one.api)
    conv = ConversationId(one.api.create_conversation(ann, [bob.name]))
    ((epoch,),) = rows(shared_database_url, "SELECT epoch_name()")
    db = Database(shared_database_url, 1, Metrics())
    messages = Messages(db, db)

    def stored(device: int, user: int) -> Stored:
        return Stored(DeviceId(device), UserId(user), conv, 2, sent=True)

    def cursors() -> list[tuple[int, int]]:
        return rows(
            shared_database_url, f"SELECT device_id, seq FROM cursors WHERE conversation_id = {conv} ORDER BY 1"
        )

    messages.delivered([stored(ann.device, ann.user)], "another epoch")
    assert cursors() == []
    messages.delivered([stored(ann.device, ann.user), stored(10**9, ann.user), stored(bob.device, bob.user)], epoch)
    assert cursors() == [(ann.device, 2), (bob.device, 2)]
    db.close()


def test_who_only_makes_mistakes_is_closed(nodes: tuple[Node, Node]) -> None:
    listener = Listener(nodes[0].api, register(nodes[0].api))
    for _ in range(200):
        try:
            listener.socket.command({"type": "nonsense"})
        except OSError:
            break
    eventually(listener.socket.closed.is_set)
    assert listener.socket.close_code == 1008
