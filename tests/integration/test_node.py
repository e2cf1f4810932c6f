"""A node as its clients see it: signing in, talking, catching up, being refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
import websocket

from monitoring.client.api import ApiError
from tests.support.people import PASSWORD, Listener, listening, register
from tests.support.servers import ADMIN_TOKEN, Node, eventually, running_node


@pytest.fixture(scope="module")
def node(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    url = postgres.replace("/postgres?", "/template?")
    with running_node(url, tmp_path_factory.mktemp("node") / "log", CORS_ORIGIN="https://chat.example.com") as running:
        yield running


def status_of(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


# --- accounts ----------------------------------------------------------------------------------------


def test_a_name_is_taken_once_and_a_wrong_password_says_no_more_than_that(node: Node) -> None:
    person = register(node.api)
    assert status_of(node.api.register, person.name, PASSWORD) == (409, "conflict")
    wrong = status_of(node.api.login, person.name, "wrong password")
    assert wrong == status_of(node.api.login, "nobody-of-that-name", PASSWORD) == (401, "unauthenticated")
    again = node.api.login(person.name, PASSWORD)
    assert again.user == person.user
    assert again.device != person.device


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "UPPER", "password": PASSWORD}, "name"),
        ({"name": "ok-name", "password": "short"}, "password"),
        ({"name": "ok-name"}, "password"),
        ({"name": "ok-name", "password": PASSWORD, "device": {"type": "TOASTER"}}, "device.type"),
        ({"name": "ok-name", "password": PASSWORD, "admin": True}, "admin"),
    ],
)
def test_a_refused_body_names_its_field(node: Node, form: dict[str, Any], field: str) -> None:
    response = requests.post(f"{node.api.base_url}/auth/register", json=form, timeout=5)
    assert response.status_code == 400
    answer = response.json()
    assert answer["code"] == "invalid_request"
    assert field in answer["message"]


def test_a_body_that_is_too_large_or_no_json(node: Node) -> None:
    url = f"{node.api.base_url}/auth/login"
    assert requests.post(url, data="{", timeout=5).json()["code"] == "invalid_request"
    assert requests.post(url, data="x" * 70_000, timeout=5).status_code == 413
    assert requests.get(f"{node.api.base_url}/nowhere", timeout=5).json()["code"] == "not_found"


def test_logging_out_ends_the_refresh_tokens(node: Node) -> None:
    person = register(node.api)
    node.api.call("POST", "/auth/logout", token=person.access_token)
    assert status_of(node.api.refresh, person) == (401, "unauthenticated")


# --- talking -----------------------------------------------------------------------------------------


def test_two_people_talk_and_know_that_they_were_heard(node: Node) -> None:
    ann, bob = register(node.api, "ann"), register(node.api, "bob")
    conv = node.api.create_conversation(ann, [bob.name], "about tea")
    with listening(node.api, ann) as at_ann, listening(node.api, bob) as at_bob:
        ack = at_ann.send(conv, "tea?")
        heard = at_bob.next("message", conv=conv)
        assert heard == at_ann.next("message", conv=conv), "the sender's device gets its own message too"
        assert (heard["seq"], heard["ts"], heard["body"]) == (ack["seq"], ack["ts"], "tea?")
        assert (heard["sender"], heard["device"]) == (ann.user, ann.device)
        at_bob.socket.command({"type": "read", "conv": conv, "seq": ack["seq"]})
        at_ann.next("read", user=bob.user, seq=ack["seq"])
        at_ann.next("receipt", user=bob.user, seq=ack["seq"])
    (row,) = node.api.conversations(bob)
    assert (row["title"], row["head"], row["read"]) == ("about tea", ack["seq"], ack["seq"])
    assert row["members"] == sorted([ann.name, bob.name])


def test_all_devices_of_a_person_hear(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    second = node.api.login(ann.name, PASSWORD, "MOBILE")
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, ann) as one, listening(node.api, second) as two, listening(node.api, bob) as at_bob:
        at_bob.send(conv, "both of you")
        assert one.next("message", conv=conv) == two.next("message", conv=conv)


def test_what_was_missed_comes_on_return_in_order_and_once(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, bob) as before:
        cursors = dict(before.socket.cursors)
        epoch = before.socket.welcome["epoch"]
    sent = [f"message {n}" for n in range(450)]  # more than two pages
    with listening(node.api, ann) as at_ann:
        for body in sent:
            while True:  # as a client does that is told to slow down
                message_id = at_ann.socket.send_message(conv, body)
                answer = eventually(lambda i=message_id: at_ann.events("ack", id=i) + at_ann.events("error", id=i))[0]
                if answer["type"] == "ack":
                    break
                time.sleep(answer["retry_after_ms"] / 1000)
        with listening(node.api, bob, cursors, epoch) as at_bob:
            assert at_bob.bodies(conv) == sent
            at_ann.send(conv, "and live again")
            eventually(lambda: at_bob.bodies(conv) == [*sent, "and live again"])
            at_bob.socket.command({"type": "sync", "cursors": {str(conv): 2}})
            eventually(lambda: len(at_bob.events("synced")) == 2)
            assert at_bob.bodies(conv)[len(sent) + 1 :] == [*sent, "and live again"]


def test_the_stored_cursor_serves_a_device_that_names_none(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, ann) as at_ann:
        with listening(node.api, bob) as at_bob:
            ack = at_ann.send(conv, "heard")
            at_bob.next("message", seq=ack["seq"])
            at_ann.next("receipt", user=bob.user, seq=ack["seq"])
        at_ann.send(conv, "missed")
        with listening(node.api, bob) as at_bob:
            assert at_bob.bodies(conv) == ["missed"]


def test_another_epoch_means_resync_from_the_beginning(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, ann) as at_ann:
        at_ann.send(conv, "before")
    with listening(node.api, bob, {conv: 3}, "another-database") as at_bob:
        assert at_bob.events("resync")
        assert at_bob.bodies(conv) == ["before"]


def test_a_retry_after_a_lost_ack_is_one_message(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, bob) as at_bob:
        with listening(node.api, ann) as at_ann:
            first = at_ann.send(conv, "once", "my-id")
        with listening(node.api, ann) as at_ann:
            assert at_ann.send(conv, "once", "my-id") == first
            at_ann.socket.send_message(conv, "something else", "my-id")
            assert at_ann.next("error", id="my-id")["code"] == "conflict"
            at_ann.send(conv, "end")
        eventually(lambda: "end" in at_bob.bodies(conv))
        assert at_bob.bodies(conv) == ["once", "end"]


def test_members_come_and_go(node: Node) -> None:
    ann, bob, eve = register(node.api), register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, ann) as at_ann, listening(node.api, eve) as at_eve:
        at_ann.send(conv, "before eve")
        members = f"/api/conversations/{conv}/members"
        assert status_of(node.api.call, "POST", members, {"members": [eve.name]}, eve.access_token)[0] == 404
        node.api.call("POST", members, {"members": [eve.name]}, ann.access_token)
        assert status_of(node.api.call, "POST", members, {"members": [eve.name]}, ann.access_token)[0] == 409
        at_eve.next("member", conv=conv, user=eve.user, event="joined")
        at_ann.send(conv, "welcome eve")
        eventually(lambda: at_eve.bodies(conv) == ["welcome eve"])

        node.api.call("DELETE", f"{members}/me", token=eve.access_token)
        at_eve.next("member", conv=conv, user=eve.user, event="left")
        at_ann.send(conv, "now that she is gone")
        at_eve.socket.send_message(conv, "let me back", "back")
        assert at_eve.next("error", id="back")["code"] == "forbidden"
        assert at_eve.bodies(conv) == ["welcome eve"]
    with listening(node.api, eve) as at_eve:
        assert "now that she is gone" not in at_eve.bodies(conv)


def test_unknown_people_are_named(node: Node) -> None:
    ann = register(node.api)
    with pytest.raises(ApiError, match="no-such-person"):
        node.api.create_conversation(ann, ["no-such-person"])


def test_who_sends_too_fast_is_told_to_wait_and_the_others_are_not_harmed(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    with listening(node.api, ann) as at_ann:
        for n in range(400):
            at_ann.socket.send_message(conv, str(n), f"fast-{n}")
        error = at_ann.next("error", code="rate_limited")
        assert error["retry_after_ms"] > 0
        eventually(lambda: len(at_ann.events("ack")) + len(at_ann.events("error")) == 400)


# --- connections -------------------------------------------------------------------------------------


def test_a_newer_connection_of_a_device_displaces_the_older(node: Node) -> None:
    ann = register(node.api)
    older = Listener(node.api, ann)
    with listening(node.api, ann):
        eventually(older.socket.closed.is_set)
        assert older.socket.close_code == 4409


def dial(node: Node, path: str, **options: Any) -> websocket.WebSocket:
    return websocket.create_connection(f"ws://127.0.0.1:{node.port}{path}", timeout=10, **options)


def closing_code(conn: websocket.WebSocket) -> int:
    while True:
        opcode, data = conn.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


def test_a_query_token_works_once(node: Node) -> None:
    token = node.api.ws_token(register(node.api))
    assert json.loads(dial(node, f"/calls?token={token}").recv())["type"] == "welcome"
    again = dial(node, f"/calls?token={token}")
    assert json.loads(again.recv())["code"] == "unauthenticated"
    assert closing_code(again) == 1008
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        dial(node, "/calls?token=nonsense")


def test_a_foreign_origin_is_refused(node: Node) -> None:
    dial(node, "/ws", origin="https://chat.example.com").close()
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        dial(node, "/ws", origin="https://evil.example.com")
    with pytest.raises(websocket.WebSocketBadStatusException, match="426"):
        dial(node, "/ws", header=["Sec-WebSocket-Version: 8"])


def test_cors_answers_listed_origins_only(node: Node) -> None:
    url = f"{node.api.base_url}/health"
    listed = requests.options(url, headers={"Origin": "https://chat.example.com"}, timeout=5)
    assert listed.headers["Access-Control-Allow-Origin"] == "https://chat.example.com"
    foreign = requests.get(url, headers={"Origin": "https://evil.example.com"}, timeout=5)
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_compression_is_never_negotiated(node: Node) -> None:
    conn = dial(node, "/ws", header=["Sec-WebSocket-Extensions: permessage-deflate"])
    assert "sec-websocket-extensions" not in conn.getheaders()
    conn.close()


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"type": "send", "id": "a", "conv": 1, "body": ""}, 1008),
        ({"type": "hello", "token": "nonsense"}, 1008),
    ],
)
def test_nothing_goes_before_a_good_hello(node: Node, first: dict[str, Any], code: int) -> None:
    conn = dial(node, "/ws")
    conn.send(json.dumps(first))
    assert closing_code(conn) == code


def test_who_says_no_hello_is_closed_after_five_seconds(node: Node) -> None:
    assert closing_code(dial(node, "/ws")) == 4408


def test_ping_is_answered_and_close_is_echoed(node: Node) -> None:
    conn = dial(node, "/ws")
    conn.ping(b"are you there")
    assert conn.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"are you there")
    conn.send_close(4321, b"bye")
    assert closing_code(conn) == 4321


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02hi", 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),
        (b"\x82\x80\x00\x00\x00\x00", 1003),
        (b"\x81\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00", 1009),
    ],
)
def test_a_broken_frame_ends_in_the_right_close_code_and_a_closed_socket(node: Node, frame: bytes, code: int) -> None:
    conn = dial(node, "/ws")
    conn.sock.sendall(frame)
    assert closing_code(conn) == code
    conn.shutdown()
    eventually(lambda: node.metric("messenger_ws_closes_total", code=str(code)) >= 1)


def test_a_bad_command_names_its_field_and_the_connection_lives_on(node: Node) -> None:
    with listening(node.api, register(node.api)) as at_ann:
        at_ann.socket.command({"type": "read", "conv": 1, "seq": -1})
        assert "$.seq" in at_ann.next("error")["detail"]
        at_ann.socket.command({"type": "sync", "cursors": {}})
        eventually(lambda: len(at_ann.events("synced")) == 2)


# --- operators ---------------------------------------------------------------------------------------


def test_a_broadcast_needs_the_admin_token_and_reaches_everybody(node: Node) -> None:
    with listening(node.api, register(node.api)) as one, listening(node.api, register(node.api)) as two:
        person = register(node.api)
        assert status_of(node.api.call, "POST", "/test/broadcast", {}, person.access_token)[0] == 401
        assert status_of(node.api.call, "POST", "/test/broadcast", {})[0] == 401
        answer = node.api.call("POST", "/test/broadcast", {"body": "attention"}, ADMIN_TOKEN)
        assert answer["connections_here"] >= 2
        for listener in (one, two):
            assert listener.next("broadcast")["body"] == "attention"


def test_health_and_readiness(node: Node) -> None:
    assert node.api.call("GET", "/health")["status"] == "ok"
    assert node.api.call("GET", "/health/ready") == {"status": "ready", "node": f"node-{node.port}", "problems": {}}


def test_deliveries_are_counted_against_what_was_owed(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    owed = node.metric("messenger_fanout_owed_total", path="message")
    delivered = node.metric("messenger_fanout_latency_seconds_count", path="message")
    with listening(node.api, ann) as at_ann, listening(node.api, bob) as at_bob:
        for n in range(10):
            at_ann.send(conv, str(n))
        eventually(lambda: len(at_bob.bodies(conv)) == 10)
    assert node.metric("messenger_fanout_owed_total", path="message") - owed == 20
    assert node.metric("messenger_fanout_latency_seconds_count", path="message") - delivered == 20


def test_no_token_or_body_reaches_the_log(node: Node) -> None:
    person = register(node.api)
    token = node.api.ws_token(person)
    for _ in range(2):  # the second time it is refused, and that is logged
        with suppress(websocket.WebSocketException):
            dial(node, f"/ws?token={token}x").close()
    dial(node, f"/ws?token={token}").close()
    conv = node.api.create_conversation(person, [register(node.api).name])
    with listening(node.api, person) as listener:
        listener.send(conv, "a-very-private-word")
    log = eventually(node.log.read_text, lambda text: text.count('"/ws"') >= 2)
    for secret in (token, person.access_token, person.refresh_token, PASSWORD, "a-very-private-word", ADMIN_TOKEN):
        assert secret not in log
    for line in log.splitlines():
        assert isinstance(json.loads(line), dict)


def test_a_past_stay_comes_whole_before_the_present_one(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    members = f"/api/conversations/{conv}/members"
    with listening(node.api, ann) as at_ann:
        for n in range(230):  # more than a page
            at_ann.send(conv, str(n))
            time.sleep(0.021)
        node.api.call("DELETE", f"{members}/me", token=bob.access_token)
        at_ann.send(conv, "not for bob")
        node.api.call("POST", members, {"members": [bob.name]}, ann.access_token)
        at_ann.send(conv, "welcome back")
    with listening(node.api, bob) as at_bob:
        assert at_bob.bodies(conv) == [*map(str, range(230)), "welcome back"]
        seqs = at_bob.seqs(conv)
        assert seqs == sorted(seqs)
        assert at_bob.socket.cursors[conv] == seqs[-1]
