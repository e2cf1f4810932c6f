"""The switch that loses sends: acknowledged, never stored, never delivered; all others are untouched."""

from __future__ import annotations

from pathlib import Path

from tests.support.people import Listener, listening, register
from tests.support.servers import ADMIN_TOKEN, Node, eventually, running_node
from tests.support.sql import rows


def switch(node: Node, drop_every: int) -> None:
    node.api.call("POST", "/test/faults", {"drop_every": drop_every}, ADMIN_TOKEN)
    assert node.metric("messenger_fault_active", fault="drop_every") == float(drop_every > 0)


def send_all(sender: Listener, conv: int, bodies: list[str]) -> list[int]:
    """Send without waiting for each other; the seq in each ack, once all are there."""
    ids = [sender.socket.send_message(conv, body) for body in bodies]
    return [sender.next("ack", id=message_id)["seq"] for message_id in ids]


def test_of_thirty_sends_every_tenth_is_acknowledged_and_never_arrives(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        ann, bob = register(node.api), register(node.api)
        conv = node.api.create_conversation(ann, [bob.name])
        bodies = [f"number {n}" for n in range(1, 31)]
        kept = [body for n, body in enumerate(bodies, 1) if n % 10]
        with listening(node.api, ann) as phone, listening(node.api, bob) as at_bob:
            switch(node, 10)
            seqs = send_all(phone, conv, bodies)
            assert [n for n, seq in enumerate(seqs, 1) if seq == 0] == [10, 20, 30]
            switch(node, 0)
            after = phone.send(conv, "after")["seq"]
            at_bob.next("message", seq=after)
            for listener in (phone, at_bob):
                assert listener.bodies(conv) == [*kept, "after"]
                assert not listener.events("error")
            assert after == max(seqs) + 1  # no number was burnt
        with listening(node.api, bob, {conv: 0}) as later:
            eventually(lambda: later.bodies(conv), lambda heard: heard == [*kept, "after"])
        query = "SELECT body FROM messages WHERE kind = 0 AND conversation_id = %s ORDER BY seq"
        assert [body for (body,) in rows(database_url, query, (conv,))] == [*kept, "after"]


def test_with_one_every_send_is_lost_and_other_commands_are_not(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        ann, bob = register(node.api), register(node.api)
        conv = node.api.create_conversation(ann, [bob.name])
        with listening(node.api, ann) as phone, listening(node.api, bob) as at_bob:
            seq = phone.send(conv, "kept")["seq"]
            at_bob.next("message", seq=seq)
            switch(node, 1)
            assert send_all(phone, conv, ["one", "two"]) == [0, 0]
            phone.socket.command({"type": "typing", "conv": conv})
            at_bob.next("typing", user=ann.user)
            phone.socket.command({"type": "read", "conv": conv, "seq": seq})
            at_bob.next("read", user=ann.user, seq=seq)
            assert at_bob.bodies(conv) == ["kept"]
