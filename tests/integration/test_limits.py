"""What happens at the edges of a node: slow readers, long absences, full nodes, expired tokens, kills."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psycopg2
import pytest
import requests
import websocket

from app import config
from app.domain.ids import ConversationId, DeviceId, UserId
from app.errors import AppError
from app.metrics import Metrics
from app.services.messages import Messages
from app.store.db import Database
from app.store.messages import Committed, NewMessage
from monitoring.client.api import Account
from tests.support.people import Listener, listening, register
from tests.support.repository import ROOT
from tests.support.servers import JWT_SECRET, Node, eventually, running_node


@pytest.fixture
def node(database_url: str, tmp_path: Path) -> Iterator[Node]:
    """For a test that ends it, stops its sessions, or counts everything it did."""
    with running_node(database_url, tmp_path / "log", SEND_RATE_PER_S="100000") as running:
        yield running


@pytest.fixture(scope="module")
def shared(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """For the others."""
    log = tmp_path_factory.mktemp("shared") / "log"
    with running_node(shared_database_url, log, SEND_RATE_PER_S="100000") as running:
        yield running


def unread(node: Node, account: Account) -> socket.socket:
    """A signed-in WebSocket whose bytes nobody reads, with a small receive buffer."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", node.port))
    key = base64.b64encode(os.urandom(16)).decode()
    token = node.api.ws_token(account)
    request = (
        f"GET /ws?token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    raw.sendall(request.encode())
    return raw


def test_a_slow_reader_is_closed_resumes_later_and_harms_nobody(node: Node) -> None:
    ann, bob, slow = register(node.api), register(node.api), register(node.api)
    conv = node.api.create_conversation(ann, [bob.name, slow.name])
    body = "x" * 40_000
    with listening(node.api, ann) as at_ann, listening(node.api, bob) as at_bob:
        raw = unread(node, slow)
        eventually(lambda: node.metric("ws_connections_active") == 3)
        sent = 0
        while node.metric("messenger_ws_closes_total", code="4008") == 0:
            at_ann.send(conv, body)
            sent += 1
            assert sent < 400, "the queue has a bound"
        at_ann.send(conv, "end")
        eventually(lambda: at_bob.bodies(conv)[-1:] == ["end"])
        assert at_bob.bodies(conv) == [body] * sent + ["end"]
        raw.close()
    with listening(node.api, slow) as later:
        assert later.bodies(conv) == [body] * sent + ["end"]


def test_a_long_absence_of_large_messages_is_caught_up_in_one_connection(shared: Node) -> None:
    ann, bob = register(shared.api), register(shared.api)
    convs = [shared.api.create_conversation(ann, [bob.name]) for _ in range(20)]
    with listening(shared.api, ann) as at_ann:
        for n in range(150):
            at_ann.send(convs[n % 3], f"{n:04}" + "x" * 40_000)
        for conv in convs:
            at_ann.send(conv, "last")
    with listening(shared.api, bob) as at_bob:
        for conv in convs:
            assert at_bob.bodies(conv)[-1] == "last"
        for n, conv in enumerate(convs[:3]):
            assert [body[:4] for body in at_bob.bodies(conv)[:-1]] == [f"{i:04}" for i in range(n, 150, 3)]


def test_syncs_by_the_thousand_are_slowed_down_and_answered(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node, listening(node.api, register(node.api)) as listener:
        for _ in range(3_000):
            listener.socket.command({"type": "sync", "cursors": {str(n): 0 for n in range(1, 100)}})
        eventually(lambda: len(listener.events("error", code="rate_limited")) > 2_000)
        time.sleep(1)
        before = len(listener.events("synced"))
        listener.socket.command({"type": "sync", "cursors": {}})
        eventually(lambda: len(listener.events("synced")) > before)


def token_of(account: Account, lives_s: float) -> str:
    now = time.time()
    claims = {"iss": "messenger", "aud": "api", "sub": str(account.user), "dev": account.device}
    return jwt.encode({**claims, "iat": int(now), "exp": int(now + lives_s)}, JWT_SECRET, algorithm="HS256")


def test_a_session_ends_with_its_token_unless_it_is_renewed(shared: Node) -> None:
    let_go, renewed = register(shared.api), register(shared.api)
    for account in (let_go, renewed):
        account.access_token = token_of(account, 3)
    with listening(shared.api, renewed) as stays:
        leaves = Listener(shared.api, let_go)
        stays.socket.command({"type": "auth", "token": token_of(renewed, 300)})
        eventually(leaves.socket.closed.is_set)
        assert leaves.socket.close_code == 4402
        assert leaves.events("error", code="token_expired")
        time.sleep(1.5)
        assert not stays.socket.closed.is_set()


def test_a_full_node_sends_newcomers_elsewhere(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log", MAX_CONNECTIONS="1") as node:
        refused = pytest.raises(websocket.WebSocketBadStatusException, match="503")
        with listening(node.api, register(node.api)), refused:
            websocket.create_connection(node.api.ws_url, timeout=5)
        eventually(lambda: node.metric("ws_connections_active") == 0)
        websocket.create_connection(node.api.ws_url, timeout=5).close()


def test_sigterm_ends_a_node_whose_database_hangs(node: Node, database_url: str) -> None:
    ann = register(node.api)
    conv = node.api.create_conversation(ann, [register(node.api).name])
    blocker = psycopg2.connect(database_url)
    with blocker.cursor() as cursor:
        cursor.execute("SELECT FROM conversations FOR UPDATE")
        with listening(node.api, ann) as listener:
            listener.socket.send_message(conv, "stuck")
            time.sleep(0.5)
            assert node.stop() == 0
    blocker.close()


def test_a_silent_database_is_answered_for(node: Node, database_url: str) -> None:
    """Its sessions are stopped, the server itself lives: the send is refused in time, and a repetition succeeds."""
    ann = register(node.api)
    conv = node.api.create_conversation(ann, [register(node.api).name])
    with listening(node.api, ann) as listener:
        listener.send(conv, "before")
        admin = psycopg2.connect(database_url)
        with admin.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
            )
            stopped = [row[0] for row in cursor.fetchall()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            listener.socket.send_message(conv, "meanwhile", "m")
            assert listener.next("error", id="m")["code"] == "unavailable"
            assert listener.send(conv, "meanwhile", "m")["seq"] == 4
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            admin.close()


def test_half_a_request_is_not_waited_for(shared: Node) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        raw.settimeout(20)
        while raw.recv(4096):
            pass  # until it is closed; a timeout fails the test


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/conversations", b'{"members": ["no\\u0000body"]}'),
        ("/api/conversations", b'{"members": ["nobody"], "title": "a\\u0000b"}'),
        ("/api/conversations", b'{"members": ["\xff"]}'),
        ("/auth/register", b'{"name": "ann-x\\n", "password": "correct horse battery"}'),
        ("/auth/register", b'{"name": "ann-x", "password": "correct horse battery", "device": {"name": "a\\n"}}'),
    ],
)
def test_odd_bodies_are_the_client_s_mistake(shared: Node, path: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {register(shared.api).access_token}", "Origin": "http://["}
    response = requests.post(shared.api.base_url + path, data=body, headers=headers, timeout=5)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_an_id_used_on_two_nodes_at_once_harms_only_itself(shared_database_url: str, shared: Node) -> None:
    """Another transaction holds the same (device, id) for another conversation; the batch waits, then is told."""
    ann, bob = register(shared.api), register(shared.api)
    first, second = (shared.api.create_conversation(ann, [bob.name]) for _ in range(2))
    other = psycopg2.connect(shared_database_url)
    with other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messages (conversation_id, seq, kind, user_id, device_id, client_id, ts, body)"
            " VALUES (%s, 99, 0, %s, %s, 'same', 0, '')",
            (first, ann.user, ann.device),
        )
    db = Database(config.load({"DATABASE_URL": shared_database_url}).database_url, 2, Metrics())
    answers: list[Committed | AppError] = []

    def commit() -> None:
        batch = [message(ann, second, "same"), message(bob, second, "innocent")]
        answers.extend(Messages(db, db).commit(batch))

    thread = threading.Thread(target=commit)
    thread.start()
    time.sleep(0.5)  # it waits for the other transaction now
    other.commit()
    other.close()
    thread.join(timeout=20)
    db.close()
    outcomes: list[Any] = [getattr(answer, "outcome", answer) for answer in answers]
    assert outcomes == ["conflict", "new"]


def message(account: Account, conv: int, client_id: str) -> NewMessage:
    return NewMessage(
        ConversationId(conv), UserId(account.user), DeviceId(account.device), client_id, "body", time.time()
    )


def test_every_error_frame_is_json(shared: Node) -> None:
    conn = websocket.create_connection(shared.api.ws_url, timeout=5)
    conn.send("not json")
    assert json.loads(conn.recv())["code"] == "invalid_request"
    conn.close()


def test_a_server_that_accepts_and_says_nothing_costs_no_pool_slot() -> None:
    """As a stopped postmaster does: the kernel accepts for it. Each use is refused, and the slot is free again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = f"""
from gevent import monkey; monkey.patch_all()
from psycogreen.gevent import patch_psycopg; patch_psycopg()
from app.errors import Unavailable
from app.metrics import Metrics
from app.store import db
db.SILENCE_S = 0.5
pool = db.Database("postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x", 1, Metrics())
for _ in range(2):
    try:
        with pool.transaction():
            print("connected")
    except Unavailable as error:
        print(error.message)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.stdout.splitlines() == ["the database is silent"] * 2, done.stderr
