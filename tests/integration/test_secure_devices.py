"""Two people, five devices, three nodes: linked, talking encrypted, reading, revoked; with all real processes.

What the server keeps and logs is searched for the words that were said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.socket import ConnectionFailed
from tests.support.people import listening, register
from tests.support.secure import Talker
from tests.support.servers import Node, eventually, running_node, running_redis
from tests.support.sql import rows

SECRET = "the-moon-is-made-of-cheese"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def nodes(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(running_node(database_url, tmp_path / f"node-{n}.log", REDIS_URL=redis_url))
            for n in range(3)
        ]


def dump(database_url: str) -> str:
    """All that the database holds, as text."""
    tables = [name for (name,) in rows(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return "\n".join(str(rows(database_url, f"SELECT to_jsonb(t) FROM {table} t")) for table in tables)


def test_two_people_five_devices_three_nodes(nodes: list[Node], database_url: str, redis_url: str) -> None:
    one, two, three = (node.api for node in nodes)
    laptop = Talker(one, register(one, "ann"))
    conv = one.create_conversation(laptop.account, [(bob := register(two, "bob")).name])
    desk = Talker(two, bob)

    # Linking, on whichever node: each is listed, with what it is, on every device.
    phone = Talker(two, laptop.link(two, "MOBILE", "Ann's phone"))
    tablet = Talker(three, laptop.link(three, "WEB", "Ann's tablet"))
    pocket = Talker(three, desk.link(one, "MOBILE", "Bob's phone"))
    everybody = [laptop, phone, tablet, desk, pocket]
    listed = three.devices(laptop.account)
    assert [(d["type"], d["name"], d["current"]) for d in listed[1:]] == [
        ("MOBILE", "Ann's phone", False),
        ("WEB", "Ann's tablet", False),
    ]
    laptop.next("device", device=phone.account.device, event="linked")
    assert eventually(lambda: [d["connected"] for d in one.devices(laptop.account)], all)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        key = f"device:{phone.account.device}:session"
        assert f'"user":{laptop.account.user}' in eventually(lambda: client.get(key))

    # Encrypted both ways, for every device.
    laptop.say(conv, f"{SECRET} from ann")
    pocket.say(conv, f"{SECRET} from bob")
    for talker in everybody:
        assert talker.read_text(f"{SECRET} from ann").sender == laptop.account.user
        assert talker.read_text(f"{SECRET} from bob").device == pocket.account.device

    # Read on one, seen on the others (how fast is measured, not asserted: see docs/performance.md).
    seq = phone.read_text(f"{SECRET} from bob").seq
    phone.device.read(conv, seq)
    for other in (laptop, tablet):
        other.next("read", user=laptop.account.user, seq=seq)

    # Revoked in mid-conversation: it is closed, hears why, and cannot come back.
    others = (laptop, phone, desk, pocket)
    before = [len(talker.heard("device_lists", changed=[laptop.account.user])) for talker in others]
    laptop.device.revoke(tablet.account.device)
    socket = tablet.device.socket
    assert socket is not None
    eventually(socket.closed.is_set)
    assert (socket.close_code, tablet.device.revoked.is_set()) == (4401, True)
    for talker, count in zip(others, before, strict=True):
        eventually(
            lambda t=talker: len(t.heard("device_lists", changed=[laptop.account.user])), lambda n, c=count: n > c
        )
    phone.next("device", device=tablet.account.device, event="revoked")
    assert [d["id"] for d in two.devices(phone.account)] == [laptop.account.device, phone.account.device]
    refused(one, tablet)

    # What follows it neither gets nor could read: with everything it holds, the words stay closed to it.
    desk.say(conv, f"{SECRET} after bob")
    laptop.say(conv, f"{SECRET} after ann")
    for talker in others:
        talker.read_text(f"{SECRET} after bob")
        talker.read_text(f"{SECRET} after ann")
    assert not any("after" in text for text in tablet.texts())
    for event in phone.heard("message")[-2:]:
        tablet.device._decrypt(event)
    assert not any("after" in text for text in tablet.texts())

    assert [talker.device.failures for talker in everybody] == [[]] * 5
    for talker in everybody:
        talker.close()
    held = dump(database_url) + "".join(node.log.read_text() for node in nodes)
    assert "ciphertext" in held
    assert SECRET not in held


def refused(api: object, tablet: Talker) -> None:
    """Neither its access token, nor its refresh token, nor a socket works any more."""
    with pytest.raises(ApiError, match="device_revoked"):
        tablet.api.conversations(tablet.account)
    with pytest.raises(ApiError, match="401"):
        tablet.api.refresh(Account(*(getattr(tablet.account, f) for f in Account.__slots__)))
    with pytest.raises((ConnectionFailed, ApiError)):  # the latter when it had keys to upload first
        tablet.device.connect()


def test_a_linked_device_reads_what_was_said_before_it_came(nodes: list[Node]) -> None:
    one, two, _ = (node.api for node in nodes)
    ann = Talker(one, register(one))
    bob = Talker(two, register(two))
    conv = one.create_conversation(ann.account, [bob.account.name])
    bob.say(conv, "long ago")
    ann.read_text("long ago")
    phone = Talker(two, ann.link(two, "MOBILE", "phone"))
    assert eventually(lambda: phone.heard("message", conv=conv))
    assert phone.texts() == []
    assert ann.device.hand_over_history(phone.account.device) == 1
    phone.read_text("long ago")
    for talker in (ann, bob, phone):
        talker.close()


def test_a_device_goes_on_after_its_process_was_killed(nodes: list[Node], tmp_path: Path) -> None:
    """What was acknowledged was kept; what was missed comes; keys that were used up are made anew."""
    one, two, _ = (node.api for node in nodes)
    ann = Talker(one, register(one))
    account = register(two)
    bob = Talker(two, account, tmp_path / "bob.json")
    conv = one.create_conversation(ann.account, [account.name])
    ann.say(conv, "first")
    bob.read_text("first")
    assert (tmp_path / "bob.json").stat().st_mode & 0o777 == 0o600
    # The thread that reports is not asked to stop: this is what a kill leaves.
    assert bob.device.socket is not None
    bob.device.socket._hang_up()
    eventually(bob.device.socket.closed.is_set)
    ann.say(conv, "second")
    again = Talker(one, account, tmp_path / "bob.json")
    again.read_text("second")
    again.say(conv, "third")
    ann.read_text("third")
    assert again.device.failures == []
    for talker in (ann, again):
        talker.close()


def test_what_a_broken_connection_brought_is_not_heard_again(nodes: list[Node]) -> None:
    api = nodes[0].api
    ann = Talker(api, register(api, "ann"))
    conv = api.create_conversation(ann.account, [(bob := register(api, "bob")).name])
    at_bob = Talker(api, bob)
    ann.say(conv, "before")
    at_bob.read_text("before")
    assert at_bob.device.socket
    at_bob.device.socket.close()
    ann.say(conv, "meanwhile")
    at_bob.device.connect()
    at_bob.read_text("meanwhile")
    assert at_bob.texts() == ["before", "meanwhile"]
    ann.close()
    at_bob.close()


def test_a_ring_reaches_every_device_once_and_stops_everywhere(nodes: list[Node]) -> None:
    one, two, three = (node.api for node in nodes)
    ann = Talker(one, register(one))
    desk = Talker(two, register(two))
    conv = one.create_conversation(ann.account, [desk.account.name])
    pocket = Talker(three, desk.link(three, "MOBILE", "pocket"))
    callee = desk.account.user

    ann.device.call("invite", conv, "call-1", user=callee, payload="offer")
    ann.device.call("candidates", conv, "call-1", payload="way 1")
    rings = [talker.next("call.invite", call="call-1") for talker in (desk, pocket)]
    assert {(ring["payload"], ring["user"], ring["device"]) for ring in rings} == {
        ("offer", ann.account.user, ann.account.device)
    }
    assert all(0 <= ring["age_ms"] < ring["lifetime_ms"] == 60_000 for ring in rings)
    for talker in (desk, pocket):
        talker.device.call("answer", conv, "call-1", payload=f"answer of {talker.account.device}")
    for talker in (desk, pocket):
        ann.next("call.answer", call="call-1", device=talker.account.device)
    ann.device.call("select_answer", conv, "call-1", selected=pocket.account.device)
    pocket.next("call.select_answer", selected=pocket.account.device)
    assert desk.next("call.hangup", call="call-1")["reason"] == "answered_elsewhere"
    desk.device.call("hangup", conv, "call-1")
    assert desk.next("error", id="call-1")["code"] == "call_over"
    pocket.device.call("negotiate", conv, "call-1", payload="hold")
    ann.next("call.negotiate", payload="hold", device=pocket.account.device)
    ann.device.call("hangup", conv, "call-1", reason="done")
    pocket.next("call.hangup", call="call-1", reason="done")

    ann.device.call("invite", conv, "call-2", user=callee)
    pocket.next("call.invite", call="call-2")
    pocket.device.call("reject", conv, "call-2")
    ann.next("call.reject", call="call-2")
    assert desk.next("call.hangup", call="call-2")["reason"] == "rejected"
    kinds = [e["type"] for e in desk.events if e.get("call") == "call-1" and "seq" in e]
    assert kinds == ["call.invite", "call.candidates", "call.hangup"]
    for talker in (ann, desk, pocket):
        talker.close()


def test_a_device_that_comes_while_it_rings_hears_it_with_its_age(nodes: list[Node]) -> None:
    one, two, _ = (node.api for node in nodes)
    ann, bob = Talker(one, register(one)), register(two)
    conv = one.create_conversation(ann.account, [bob.name])
    ann.device.call("invite", conv, "late", user=bob.user, lifetime_ms=5_000)
    ann.next("call.ack", call="late", devices=1)
    time.sleep(0.3)  # it rings for a while
    at_bob = Talker(two, bob)
    ring = at_bob.next("call.invite", call="late")
    assert 300 <= ring["age_ms"] < 5_000
    at_bob.device.call("answer", conv, "late")
    ann.next("call.answer", call="late")
    for talker in (ann, at_bob):
        talker.close()


def test_a_call_that_rang_too_long_is_over_by_the_servers_clock(nodes: list[Node]) -> None:
    one = nodes[0].api
    ann, bob = Talker(one, register(one)), Talker(one, register(one))
    conv = one.create_conversation(ann.account, [bob.account.name])
    ann.device.call("invite", conv, "short", user=bob.account.user, lifetime_ms=1_000)
    ring = bob.next("call.invite", call="short")
    time.sleep(max(0.0, (ring["lifetime_ms"] - ring["age_ms"]) / 1000) + 0.05)
    bob.device.call("answer", conv, "short")
    assert bob.next("error", id="short")["code"] == "call_over"
    for talker in (ann, bob):
        talker.close()


def test_of_two_calls_that_cross_the_lesser_id_stays(nodes: list[Node]) -> None:
    one, two, _ = (node.api for node in nodes)
    ann, bob = Talker(one, register(one)), Talker(two, register(two))
    conv = one.create_conversation(ann.account, [bob.account.name])
    ann.device.call("invite", conv, "b", user=bob.account.user)
    bob.next("call.invite", call="b")
    bob.device.call("invite", conv, "c", user=ann.account.user)  # the greater: it gives way
    assert bob.next("call.hangup", call="c")["reason"] == "glare"
    bob.device.call("invite", conv, "a", user=ann.account.user)  # the lesser: the one that rings gives way
    assert ann.next("call.hangup", call="b")["reason"] == "glare"
    ann.next("call.invite", call="a")
    assert bob.next("call.hangup", call="b")["reason"] == "glare"
    assert ann.heard("call.invite", call="c") == []
    for talker in (ann, bob):
        talker.close()


def test_what_hello_names_of_an_inbox_is_dropped_and_a_restored_database_begins_anew(
    nodes: list[Node], database_url: str
) -> None:
    api = nodes[0].api
    ann, bob = register(api), register(api)
    api.create_conversation(ann, [bob.name])

    def send(number: int) -> None:
        messages = {f"@{bob.user}:messenger": {"*": {"n": number}}}
        api.call("PUT", f"/api/to-device/m.test/{number}", {"messages": messages}, ann.access_token)

    def waiting() -> list[int]:
        query = f"SELECT seq FROM to_device WHERE device_id = {bob.device} ORDER BY seq"
        return [seq for (seq,) in rows(database_url, query)]

    for number in range(3):
        send(number)
    with listening(api, bob, inbox=2) as at_bob:
        assert [e["content"]["n"] for e in at_bob.events("to_device")] == [2]
        eventually(waiting, lambda left: left == [])
    with listening(api, bob, inbox=99) as ahead:  # of another database, where more was sent
        assert ahead.events("resync")
    send(3)
    assert waiting() == [4]
    with listening(api, bob, epoch="another", inbox=4) as after:
        assert [e["content"]["n"] for e in after.events("to_device")] == [3]


class Unreliable(Api):
    """An Api whose next requests to devices fail, some before the server has heard them and some after."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.before, self.after = 0, 0

    def call(self, method: str, path: str, form: Any = None, token: str | None = None) -> Any:
        if not path.startswith("/api/to-device/"):
            return super().call(method, path, form, token)
        if self.before:
            self.before -= 1
            raise ApiError(0, "unreachable", "the request was lost")
        answer = super().call(method, path, form, token)
        if self.after:
            self.after -= 1
            raise ApiError(0, "unreachable", "the answer was lost")
        return answer


def test_a_key_whose_request_failed_reaches_everybody_with_the_next_message(nodes: list[Node], tmp_path: Path) -> None:
    one, two, _ = (node.api for node in nodes)
    unreliable = Unreliable(one.base_url)
    account = register(one)
    ann = Talker(unreliable, account, tmp_path / "ann.json")
    bob = Talker(two, register(two))
    conv = one.create_conversation(account, [bob.account.name])
    unreliable.before, unreliable.after = 1, 1
    for text in ("lost before", "lost after"):
        with pytest.raises(ApiError):
            ann.device.send(conv, text)
    ann.close()
    again = Talker(one, account, tmp_path / "ann.json")  # also after a restart
    again.say(conv, "at last")
    bob.read_text("at last")
    assert bob.texts() == ["at last"] and bob.device.failures == []
    for talker in (again, bob):
        talker.close()
