"""What somebody who means ill may try, one by one: others' things, worn-out tokens, guesses, floods, bad input."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
import requests
import websocket

from app.services.accounts import LOST_ANSWER_S
from monitoring.client.api import Account, ApiError
from monitoring.client.crypto.machine import Machine
from monitoring.client.crypto.names import user_name
from monitoring.client.socket import ConnectionFailed, wait_for_link
from tests.support.people import PASSWORD, listening, register
from tests.support.secure import Talker
from tests.support.servers import JWT_SECRET, Node, eventually, running_node
from tests.support.sql import execute, rows


@pytest.fixture(scope="module")
def node(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    log = tmp_path_factory.mktemp("security") / "log"
    with running_node(shared_database_url, log, CORS_ORIGIN="https://chat.example.com") as running:
        yield running


def call(node: Node, account: Account, method: str, path: str, form: Any = None) -> Any:
    return node.api.call(method, path, form, account.access_token)


def uploaded(node: Node, account: Account) -> Machine:
    """The account's device with its keys uploaded."""
    machine = Machine(account.user, account.device)
    answer = call(node, account, "POST", "/api/keys/upload", machine.to_upload())
    machine.uploaded(answer["one_time_key_counts"])
    return machine


# --- other people's things ----------------------------------------------------------------------------


def test_conversations_devices_and_links_of_others(node: Node) -> None:
    ann, bob, eve = register(node.api), register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name])
    link = node.api.offer_link(ann)["link"]
    tries: list[tuple[str, str, Any]] = [
        ("POST", f"/api/conversations/{conv}/members", {"members": [eve.name]}),
        ("DELETE", f"/api/conversations/{conv}/members/me", None),
        ("DELETE", f"/api/devices/{ann.device}", None),
        ("PATCH", f"/api/devices/{ann.device}", {"name": "mine"}),
        ("GET", f"/api/links/{link}", None),
        ("POST", f"/api/links/{link}/confirm", {"accept": True}),
    ]
    for method, path, form in tries:
        with pytest.raises(ApiError, match="404 not_found"):
            call(node, eve, method, path, form)
    other = node.api.login(ann.name, PASSWORD)
    with pytest.raises(ApiError, match="404"):  # the same person, but not the device that offered it
        call(node, other, "POST", f"/api/links/{link}/confirm", {"accept": True})
    with listening(node.api, eve) as at_eve:
        at_eve.socket.send_message(conv, "let me in", "intruder")
        assert at_eve.next("error", id="intruder")["code"] == "forbidden"
        at_eve.socket.command({"type": "read", "conv": conv, "seq": 1})
        at_eve.socket.command({"type": "sync", "cursors": {str(conv): 0}})
        at_eve.socket.command({"type": "call.invite", "call": "c", "conv": conv, "user": ann.user})
        assert at_eve.next("error", id="c")["code"] == "not_found"
        assert at_eve.events("message") == at_eve.events("member") == []


def test_keys_and_inboxes_of_strangers(node: Node) -> None:
    ann, bob, eve = register(node.api), register(node.api), register(node.api)
    uploaded(node, ann)
    node.api.create_conversation(ann, [bob.name])
    wanted = {user_name(ann.user): {str(ann.device): "signed_curve25519"}}
    assert call(node, eve, "POST", "/api/keys/query", {"device_keys": {user_name(ann.user): []}})["device_keys"] == {}
    assert call(node, eve, "POST", "/api/keys/claim", {"one_time_keys": wanted})["one_time_keys"] == {}
    messages: Any = {user_name(ann.user): {"*": {}, str(ann.device): {}}}
    answer = call(node, eve, "PUT", "/api/to-device/m.test/1", {"messages": messages})
    assert answer == {"not_sent": {user_name(ann.user): [str(ann.device)]}}
    assert call(node, bob, "POST", "/api/keys/claim", {"one_time_keys": wanted})["one_time_keys"]
    # A device id of somebody else under one's own name reaches nothing either.
    own = {user_name(eve.user): {str(ann.device): "signed_curve25519"}}
    assert call(node, eve, "POST", "/api/keys/claim", {"one_time_keys": own})["one_time_keys"] == {}


def test_a_call_of_others(node: Node) -> None:
    ann, bob, eve = Talker(node.api, register(node.api)), Talker(node.api, register(node.api)), register(node.api)
    conv = node.api.create_conversation(ann.account, [bob.account.name, eve.name])
    ann.device.call("invite", conv, "theirs", user=bob.account.user)
    bob.next("call.invite")
    spare = Talker(node.api, node.api.login(ann.account.name, PASSWORD))
    with listening(node.api, eve) as at_eve:
        for verb in ("answer", "hangup", "reject", "candidates", "negotiate"):
            at_eve.socket.command({"type": f"call.{verb}", "call": "theirs", "conv": conv})
        eventually(lambda: len(at_eve.events("error", code="not_found", id="theirs")) == 5)
    spare.device.call("hangup", conv, "theirs")  # the caller, but not the device that calls
    assert spare.next("error", id="theirs")["code"] == "not_found"
    ann.device.call("select_answer", conv, "theirs", selected=spare.account.device)  # no device of the callee
    assert ann.next("error", id="theirs")["code"] == "invalid_request"
    assert bob.heard("call.hangup") == []
    for talker in (ann, bob, spare):
        talker.close()


# --- tokens -------------------------------------------------------------------------------------------


def test_tokens_that_are_none(node: Node) -> None:
    ann = register(node.api)
    claims = jwt.decode(ann.access_token, JWT_SECRET, algorithms=["HS256"], audience="api")
    now = int(time.time())
    forged = {
        "alg none": jwt.encode(claims, "", algorithm="none"),
        "another secret": jwt.encode(claims, "x" * 40, algorithm="HS256"),
        "another algorithm": jwt.encode(claims, JWT_SECRET * 2, algorithm="HS512"),
        "wrong audience": jwt.encode(claims | {"aud": "ws"}, JWT_SECRET, algorithm="HS256"),
        "no device": jwt.encode({k: v for k, v in claims.items() if k != "dev"}, JWT_SECRET, algorithm="HS256"),
        "somebody else's device": jwt.encode(claims | {"sub": str(ann.user + 1)}, JWT_SECRET, algorithm="HS256"),
        "for the socket's URL": node.api.ws_token(ann),
        "nothing": "",
    }
    expired = jwt.encode(claims | {"exp": now - 3_600}, JWT_SECRET, algorithm="HS256")
    for what, token in forged.items():
        with pytest.raises(ApiError, match="401") as refusal:
            node.api.call("GET", "/api/devices", token=token or " ")
        assert refusal.value.code in ("unauthenticated", "device_revoked"), what
    with pytest.raises(ApiError, match="401 token_expired"):
        node.api.call("GET", "/api/devices", token=expired)
    assert closing(node, {"type": "hello", "token": expired}) == 4402
    assert closing(node, {"type": "hello", "token": forged["alg none"]}) == 1008
    assert closing(node, {"type": "hello", "token": forged["wrong audience"]}) == 1008


def closing(node: Node, first: dict[str, Any]) -> int:
    """How a connection ends that begins like this."""
    conn = websocket.create_connection(f"ws://127.0.0.1:{node.port}/ws", timeout=10)
    conn.send(json.dumps(first))
    while True:
        opcode, data = conn.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


def test_a_revoked_device_has_nothing_any_more(node: Node, shared_database_url: str) -> None:
    ann, bob = register(node.api), register(node.api)
    lost = node.api.login(ann.name, PASSWORD)
    node.api.create_conversation(ann, [bob.name])
    machine = uploaded(node, lost)
    call(node, bob, "PUT", "/api/to-device/m.test/2", {"messages": {user_name(ann.user): {str(lost.device): {}}}})
    offered = node.api.offer_link(lost)
    claims = jwt.decode(lost.access_token, options={"verify_signature": False})
    old = jwt.encode(claims | {"exp": int(time.time()) - 3_600}, JWT_SECRET, algorithm="HS256")
    with pytest.raises(ApiError, match="401 token_expired"):
        node.api.call("GET", "/api/devices", token=old)
    node.api.revoke(ann, lost.device)
    with pytest.raises(ApiError, match="401 device_revoked"):
        node.api.call("GET", "/api/devices", token=old)  # so that one that was away for long learns why it is out
    with pytest.raises(ApiError, match="401 device_revoked"):
        call(node, lost, "GET", "/api/devices")
    with pytest.raises(ApiError, match="401"):
        node.api.refresh(lost)
    with pytest.raises(ApiError, match="401"):
        call(node, lost, "POST", "/api/keys/upload", machine.to_upload() or {})
    with pytest.raises(ApiError, match="404 link_unknown"):
        node.api.claim_link(offered["payload"], "WEB", "accomplice")
    assert closing(node, {"type": "hello", "token": lost.access_token}) == 4401
    for table in ("device_keys", "one_time_keys", "fallback_keys", "to_device"):
        assert rows(shared_database_url, f"SELECT 1 FROM {table} WHERE device_id = {lost.device}") == []


def refreshed(node: Node, token: str) -> str:
    """The refresh token that this one is exchanged for; raises ApiError."""
    return node.api.call("POST", "/auth/refresh", {"refresh_token": token})["refresh_token"]


def test_a_refresh_token_that_is_used_after_its_successor_ends_the_family(node: Node) -> None:
    stolen = register(node.api).refresh_token
    second = refreshed(node, stolen)
    third = refreshed(node, second)
    for token in (stolen, second, third):
        with pytest.raises(ApiError, match="401 unauthenticated"):
            refreshed(node, token)


def test_a_refresh_whose_answer_was_lost_is_asked_for_again(node: Node, shared_database_url: str) -> None:
    ann = register(node.api)
    lost = refreshed(node, ann.refresh_token)
    again = refreshed(node, refreshed(node, ann.refresh_token))
    with pytest.raises(ApiError, match="401 unauthenticated"):
        refreshed(node, lost)  # a thief had it after all
    with pytest.raises(ApiError, match="401 unauthenticated"):
        refreshed(node, again)

    bob = register(node.api)
    last = refreshed(node, bob.refresh_token)
    earlier = (
        f"UPDATE refresh_tokens SET used_at = used_at - interval '{LOST_ANSWER_S} s' WHERE device_id = {bob.device}"
    )
    execute(shared_database_url, earlier)
    for token in (bob.refresh_token, last):
        with pytest.raises(ApiError, match="401 unauthenticated"):
            refreshed(node, token)


def test_two_who_ask_again_at_once_leave_one_token(node: Node, shared_database_url: str) -> None:
    ann = register(node.api)
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: refreshed(node, ann.refresh_token), range(8)))
    assert len(tokens) == 8
    unused = f"SELECT 1 FROM refresh_tokens WHERE device_id = {ann.device} AND used_at IS NULL"
    assert len(rows(shared_database_url, unused)) == 1


# --- linking ------------------------------------------------------------------------------------------


def test_a_link_is_used_once_confirmed_by_its_device_and_collected_once(node: Node) -> None:
    ann = register(node.api)
    offer = node.api.offer_link(ann)
    claim = node.api.claim_link(offer["code"].lower().replace("-", " "), "DESKTOP", "desk")
    assert offer["qr_svg"].startswith("<svg") and offer["expires_in"] == 300
    with pytest.raises(ApiError, match="409 link_used"):
        node.api.claim_link(offer["payload"], "WEB", "second")
    with pytest.raises(ApiError, match="409 link_waiting"):
        node.api.collect_link(ann.name, claim["claim_token"])
    with pytest.raises(ApiError, match="404 link_unknown"):
        node.api.collect_link(ann.name, offer["payload"])
    node.api.confirm_link(ann, offer["link"])
    node.api.confirm_link(ann, offer["link"])  # again changes nothing
    with pytest.raises(ApiError, match="409 link_used"):
        node.api.confirm_link(ann, offer["link"], accept=False)
    desk = node.api.collect_link(ann.name, claim["claim_token"])
    assert [d["type"] for d in node.api.devices(desk) if d["current"]] == ["DESKTOP"]
    with pytest.raises(ApiError, match="409 link_used"):
        node.api.collect_link(ann.name, claim["claim_token"])


def test_a_link_that_is_refused_or_late(node: Node, shared_database_url: str) -> None:
    ann = register(node.api)
    offer = node.api.offer_link(ann)
    claim = node.api.claim_link(offer["payload"], "WEB", "no")
    node.api.confirm_link(ann, offer["link"], accept=False)
    assert wait_for_link(node.api.ws_url, claim["claim_token"], 10) == "refused"
    with pytest.raises(ApiError, match="403 link_refused"):
        node.api.collect_link(ann.name, claim["claim_token"])
    with pytest.raises(ConnectionFailed, match="link_unknown"):
        wait_for_link(node.api.ws_url, "made up", 10)
    late = node.api.offer_link(ann)
    claimed = node.api.claim_link(late["payload"], "WEB", "late")
    execute(shared_database_url, f"UPDATE links SET expires_at = now() WHERE id = {late['link']}")
    for expired in (
        lambda: node.api.claim_link(late["code"], "WEB", "late"),
        lambda: node.api.confirm_link(ann, late["link"]),
        lambda: node.api.collect_link(ann.name, claimed["claim_token"]),
    ):
        with pytest.raises(ApiError, match="410 link_expired"):
            expired()
    with pytest.raises(ConnectionFailed, match="link_expired"):
        wait_for_link(node.api.ws_url, claimed["claim_token"], 10)


def test_secrets_of_links_are_not_stored(node: Node, shared_database_url: str) -> None:
    offer = node.api.offer_link(register(node.api))
    stored = str(rows(shared_database_url, f"SELECT to_jsonb(l) FROM links l WHERE id = {offer['link']}"))
    code = offer["code"].replace("-", "")
    for secret in (offer["payload"].removeprefix("messenger-link:"), code, code.encode().hex()):
        assert secret not in stored
        assert secret not in node.log.read_text()


def test_guessing_links_is_limited_by_address_and_making_them_by_account(database_url: str, tmp_path: Any) -> None:
    with running_node(database_url, tmp_path / "log", AUTH_ATTEMPTS_PER_MINUTE="5") as node:
        ann = register(node.api)
        for n in range(5):
            with pytest.raises(ApiError, match="404 link_unknown"):
                node.api.claim_link(f"AAAAA-AAAA{n}", "WEB", "guess")
        with pytest.raises(ApiError, match="429 rate_limited"):
            node.api.claim_link(node.api.offer_link(ann)["code"], "WEB", "guess")
        with pytest.raises(ApiError, match="429"):
            for _ in range(25):
                node.api.offer_link(ann)


# --- keys ---------------------------------------------------------------------------------------------


def test_keys_are_handed_out_once_then_the_fallback_and_not_without_end(node: Node) -> None:
    ann, bob = register(node.api), register(node.api)
    node.api.create_conversation(ann, [bob.name])
    machine = Machine(ann.user, ann.device)
    upload = machine.to_upload()
    assert upload is not None
    few = dict(list(upload["one_time_keys"].items())[:3])
    call(node, ann, "POST", "/api/keys/upload", upload | {"one_time_keys": few})
    form = {"one_time_keys": {user_name(ann.user): {str(ann.device): "signed_curve25519"}}}

    def claim() -> str:
        answer = call(node, bob, "POST", "/api/keys/claim", form)["one_time_keys"]
        (key,) = answer[user_name(ann.user)][str(ann.device)]
        return str(key)

    with listening(node.api, ann) as at_ann:
        before = at_ann.next("keys")
        assert before["one_time_key_counts"] == {"signed_curve25519": 3}
        assert before["unused_fallback_key_types"] == ["signed_curve25519"]
        handed_out = [claim() for _ in range(3)]
        assert set(handed_out) == set(few)
        (spare,) = upload["fallback_keys"]
        assert [claim(), claim()] == [spare, spare]
        at_ann.next("keys", one_time_key_counts={}, unused_fallback_key_types=[])
    # Uploading them again does not bring them back.
    again = call(node, ann, "POST", "/api/keys/upload", {"one_time_keys": few})
    assert again == {"one_time_key_counts": {}}
    assert node.metric("messenger_keys_claimed_total", key="fallback") == 2
    with pytest.raises(ApiError, match="429 rate_limited"):
        for _ in range(20):
            claim()


def test_keys_that_are_not_what_they_say(node: Node) -> None:
    ann = register(node.api)
    machine = Machine(ann.user, ann.device)
    good = machine.to_upload()
    other = Machine(ann.user + 1, ann.device).to_upload()
    assert good is not None and other is not None
    name, key = next(iter(good["one_time_keys"].items()))
    identity = good["device_keys"]
    bad: list[tuple[str, Any]] = [
        ("device_keys: must name", {"device_keys": other["device_keys"]}),
        ("signatures", {"device_keys": identity | {"signatures": {}}}),
        ("signatures", {"device_keys": identity | {"algorithms": ["more"]}}),
        ("algorithms", {"device_keys": identity | {"algorithms": 7}}),
        ("32 bytes", {"device_keys": identity | {"keys": {}}}),
        ("before other keys", {"one_time_keys": {name: key}}),
        ("signed by this device", {"device_keys": identity, "one_time_keys": {name: key | {"key": "A" * 43}}}),
        ("signed by this device", {"device_keys": identity, "one_time_keys": {"curve25519:AA": key}}),
        ("signed by this device", {"device_keys": identity, "one_time_keys": {name + "\n": key}}),
        ("at most 100", {"device_keys": identity, "one_time_keys": {f"{name}{n}": key for n in range(101)}}),
    ]
    for problem, form in bad:
        with pytest.raises(ApiError, match="400 invalid_request") as refusal:
            call(node, ann, "POST", "/api/keys/upload", form)
        assert problem in str(refusal.value)
    assert call(node, ann, "POST", "/api/keys/query", {"device_keys": {user_name(ann.user): []}})["device_keys"] == {
        user_name(ann.user): {}
    }, "nothing of a refused upload is kept"
    call(node, ann, "POST", "/api/keys/upload", good)
    call(node, ann, "POST", "/api/keys/upload", good)  # again changes nothing
    changed = Machine(ann.user, ann.device).to_upload()
    assert changed is not None
    with pytest.raises(ApiError, match="409 conflict"):
        call(node, ann, "POST", "/api/keys/upload", {"device_keys": changed["device_keys"]})


# --- malformed and too large --------------------------------------------------------------------------


def test_bodies_headers_and_origins(node: Node) -> None:
    ann = register(node.api)
    bearer = {"Authorization": f"Bearer {ann.access_token}"}

    def post(path: str, data: bytes, **headers: str) -> requests.Response:
        return requests.post(node.api.base_url + path, data=data, headers=bearer | headers, timeout=10)

    assert post("/api/conversations", b"x" * 70_000).status_code == 413
    assert post("/api/keys/upload", b'{"device_keys": {"a": "' + b"x" * 300_000 + b'"}}').status_code == 413
    for data in (b"", b"[]", b"{", b"\xff", b'{"members": ["a\\u0000b"]}', b'{"members": 7}', b'{"device_keys": []}'):
        for path in ("/api/conversations", "/api/keys/query", "/api/links/claim"):
            assert post(path, data).status_code == 400, (path, data)
    deep = b'{"device_keys": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}"
    assert post("/api/keys/upload", deep).status_code == 400
    injected = requests.put(
        f"{node.api.base_url}/api/to-device/m.test%0d%0aSet-Cookie:x=1/1",
        json={"messages": {}},
        headers=bearer,
        timeout=10,
    )
    assert (injected.status_code, "Set-Cookie" in injected.headers) == (400, False)
    foreign = post("/api/links", b"", Origin="https://evil.example.com")
    assert "Access-Control-Allow-Origin" not in foreign.headers
    ours = post("/api/links", b"", Origin="https://chat.example.com")
    assert ours.headers["Access-Control-Allow-Origin"] == "https://chat.example.com"
    for path in ("/ws", "/calls"):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            websocket.create_connection(f"ws://127.0.0.1:{node.port}{path}", origin="https://evil.example.com")


def test_turn_credentials_are_those_of_the_shared_secret(database_url: str, tmp_path: Any) -> None:
    uris = "turn:turn.example.com:3478?transport=udp,stun:turn.example.com"
    with running_node(database_url, tmp_path / "log", TURN_SECRET="s" * 40, TURN_URIS=uris) as node:
        ann = register(node.api)
        given = call(node, ann, "GET", "/api/calls/turn")
        expires, user = given["username"].split(":")
        assert int(user) == ann.user and int(expires) - time.time() <= given["ttl"] == 3600
        assert (
            given["password"] == base64.b64encode(hmac.digest(b"s" * 40, given["username"].encode(), "sha1")).decode()
        )
        assert given["uris"] == uris.split(",")
        with pytest.raises(ApiError, match="401"):
            node.api.call("GET", "/api/calls/turn")
