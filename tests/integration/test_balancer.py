"""Three nodes behind a real nginx, as in production: TLS, stickiness, nodes that go away, and what its logs hold."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
import websocket

from app import config, migrations
from deploy.balancer import Balancer, Certificate, render
from deploy.stack.wait import answers
from monitoring.client.api import Api
from tests.integration.test_load import promise_kept, seed
from tests.support.binaries import require
from tests.support.certificates import make_certificate
from tests.support.people import listening, register
from tests.support.processes import running
from tests.support.repository import ROOT
from tests.support.servers import eventually, free_port, node_environ, running_redis


@dataclass
class Front:
    """nginx and its nodes, which can be restarted in their places."""

    folder: Path
    environ: dict[str, str]
    https_port: int = field(default_factory=free_port)
    plain_port: int = field(default_factory=free_port)
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(3)])
    nodes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def api(self) -> Api:
        return Api(f"https://localhost:{self.https_port}")

    def start(self, port: int) -> None:
        environ = self.environ | {"PORT": str(port), "METRICS_PORT": str(free_port()), "NODE_ID": f"node-{port}"}
        with (self.folder / "nodes.log").open("ab") as output:
            self.nodes[port] = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"], cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
            )
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health/ready"), within_s=30)

    def restart(self, port: int) -> None:
        """As a deploy does: it drains, goes, and comes back ready."""
        self.nodes[port].send_signal(signal.SIGTERM)
        assert self.nodes[port].wait(timeout=40) == 0
        self.start(port)

    def logged(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "logs").iterdir())


@pytest.fixture
def front(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    chain, key = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(chain))
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(chain))
    for name in ("logs", "nginx"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        redis_url = stack.enter_context(running_redis(tmp_path))
        environ = node_environ(
            database_url, REDIS_URL=redis_url, TRUSTED_PROXIES="127.0.0.1/32", MEDIA_DIR=str(tmp_path / "media")
        )
        made = Front(tmp_path, environ)
        stack.callback(lambda: [process.kill() for process in made.nodes.values()])
        for port in made.ports:
            made.start(port)
        text = render(
            Balancer(
                nodes=[f"127.0.0.1:{port}" for port in made.ports],
                folder=tmp_path / "nginx",
                logs=tmp_path / "logs",
                http=f"127.0.0.1:{free_port()}",
                https=f"127.0.0.1:{made.https_port}",
                certificate=Certificate(chain, key),
                plain=f"127.0.0.1:{made.plain_port}",
                workers=2,
                user="root",
            )
        )
        (tmp_path / "nginx.conf").write_text(text)
        command = (str(require("nginx")), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))
        ready = f"https://localhost:{made.https_port}/health"
        stack.enter_context(running(tmp_path / "nginx.log", ready, *command))
        yield made


def ask(front: Front, path: str, source: str = "127.0.0.1", **headers: str) -> http.client.HTTPResponse:
    """One request over TLS from an address of one's own."""
    context = ssl.create_default_context(cafile=str(next(front.folder.glob("certificate*.pem"))))
    conn = http.client.HTTPSConnection("127.0.0.1", front.https_port, context=context, source_address=(source, 0))
    conn.request("GET", path, headers=headers)
    answer = conn.getresponse()
    answer.read()
    return answer


def test_people_come_through_and_no_log_holds_what_lets_them_in(front: Front) -> None:
    api = front.api
    ann, bob = register(api), register(api)
    conv = api.create_conversation(ann, [bob.name])
    token = api.ws_token(ann)
    calls = websocket.create_connection(f"wss://localhost:{front.https_port}/calls?token={token}", timeout=10)
    assert json.loads(calls.recv())["type"] == "welcome"
    with listening(api, bob) as at_bob:
        calls.send(
            json.dumps({"type": "send", "id": "6f1c2d5e-3d0b-4d62-9c55-0c1b7a5f9e11", "conv": conv, "body": "x"})
        )
        at_bob.next("message", conv=conv)
    calls.close()

    page = requests.get(f"{api.base_url}/", headers={"Accept-Encoding": "br"}, timeout=10)
    assert page.headers["Content-Encoding"] == "br"
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    for path in ("/test/broadcast", "/test/faults", "/metrics"):
        assert requests.post(f"{api.base_url}{path}", timeout=10).status_code == 404
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        http.client.HTTPSConnection("127.0.0.1", front.https_port, context=old).connect()

    url = attachment(api, ann, conv)
    seen = [requests.get(url, timeout=10) for _ in range(2)]
    assert [one.headers["X-Cache-Status"] for one in seen] == ["MISS", "HIT"]
    assert seen[0].headers["Cache-Control"].startswith("public, max-age=31536000")
    part = requests.get(url, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content) == (206, seen[0].content[10:20])
    assert requests.get(url[:-1] + ("A" if url[-1] != "A" else "B"), timeout=10).status_code in (403, 404)

    for process in front.nodes.values():
        process.kill()
    token = f"{token}x"
    with pytest.raises(websocket.WebSocketException):
        websocket.create_connection(f"wss://localhost:{front.https_port}/calls?token={token}", timeout=10)
    logged = eventually(front.logged, lambda text: '"node_status":"502, 502, 502"' in text or '"status":502' in text)
    assert '"path":"/calls"' in logged
    for secret in (token[:-1], ann.access_token, url.split("s=")[1], "token="):
        assert secret not in logged
    lines = [json.loads(line) for line in (front.folder / "logs" / "nginx-access.log").read_text().splitlines()]
    assert {"HIT", "MISS"} <= {line["cache"] for line in lines}


def attachment(api: Api, account: Any, conv: int) -> str:
    """The address of a medium that was just brought."""
    content = bytes(range(256)) * 40
    form = {"conv": conv, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    upload = api.call("POST", "/api/media/uploads", form, account.access_token)
    told = requests.put(
        f"{api.base_url}/api/media/uploads/{upload['upload']}?offset=0",
        data=content,
        headers={"Authorization": f"Bearer {account.access_token}"},
        timeout=10,
    ).json()
    return f"{api.base_url}{told['url']}"


def test_people_stay_with_their_node_until_it_goes(front: Front) -> None:
    sources = [f"127.0.{third}.1" for third in range(1, 13)]
    for source in sources * 2:
        ask(front, "/health", source, **{"X-Forwarded-For": "6.6.6.6"})
    path = front.folder / "logs" / "nginx-access.log"
    asked = [f'"remote":"{source}"' for source in sources]
    eventually(lambda: path.read_text(), lambda text: all(text.count(one) == 2 for one in asked))
    nodes: dict[str, set[str]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        nodes.setdefault(line["remote"], set()).add(line["node"])
    mine = [nodes[source] for source in sources]
    assert all(len(found) == 1 for found in mine), nodes
    assert len(set.union(*mine)) == 3
    front.nodes[int(min(mine[0]).rsplit(":", 1)[1])].kill()
    assert {ask(front, "/health", source).status for source in sources} == {200}


def test_what_is_made_for_production_is_right_and_says_what_it_needs(tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    command = [sys.executable, "-m", "deploy.balancer", "--domain", "chat.example.com", "--certificate", str(chain),
               "--key", str(key), "--folder", str(tmp_path), "--logs", str(tmp_path)]  # fmt: skip
    nodes = [part for n in range(4) for part in ("--node", f"10.0.0.{n}:3001")]
    made = subprocess.run([*command, *nodes], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stderr == ""
    assert "worker_processes 11;" in made.stdout  # 200,000 descriptors, 19,500 each
    (tmp_path / "nginx.conf").write_text(made.stdout)
    done = subprocess.run([str(require("nginx")), "-t", "-c", str(tmp_path / "nginx.conf")],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert "syntax is ok" in done.stderr
    fewer = subprocess.run([*command, *nodes[:4]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "to which one machine makes 56000 connections" in fewer.stderr


def test_a_deploy_and_its_rollback_under_load_lose_nothing(front: Front, database_url: str) -> None:
    """The newest migration goes back and forth under nodes that run, Redis forgets all, each node is replaced."""
    own = config.load({"DATABASE_URL": database_url})
    newest = migrations.status(own)[-1].name
    tokens = seed(database_url, front.folder, 120)
    command = [sys.executable, "-m", "monitoring", "load", "--url", f"ws://127.0.0.1:{front.plain_port}/ws",
               "--tokens", str(tokens), "--connections", "120", "--duration", "25s", "--rate", "40",
               "--json", "-", "--fresh"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        said: list[str] = []
        assert load.stderr
        reader = threading.Thread(target=said.extend, args=(load.stderr,))
        reader.start()
        eventually(lambda: any(line.startswith("traffic") for line in said), within_s=60)
        assert migrations.down(own, 1) == [newest]
        with redis.Redis.from_url(front.environ["REDIS_URL"]) as client:
            client.flushall()
            first, *others = front.ports
            front.restart(first)  # as of the version before, which does not know the step
            assert migrations.up(own) == [newest]
            client.flushall()
            for port in others:
                front.restart(port)
            eventually(lambda: len(client.keys("device:*:session")) == 120)
        assert load.poll() is None, "the load was over before the last node was back"
        assert load.stdout
        told = json.loads(load.stdout.read())
        reader.join()
    history = told["history"]
    assert promise_kept(told), history
    assert (history["lost"], history["duplicated"], history["reordered"], history["holes"]) == (0, 0, 0, 0)
    assert history["sent"] == 1_000
    assert "Traceback" not in (front.folder / "nodes.log").read_text()
