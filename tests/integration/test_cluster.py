"""`make cluster`: nodes are replaced, killed and lose their Redis under load by way of nginx, and nothing is lost."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests

from deploy.cluster.cluster import Cluster
from deploy.rolling import RollError, roll
from deploy.stack.wait import answers
from monitoring.client.api import Api
from tests.support.cluster import environ, load, running_cluster
from tests.support.people import register
from tests.support.repository import ROOT, version_before
from tests.support.servers import eventually

LEAK = "leak-of-a-token-0123456789"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


def get(cluster: Cluster, path: str, **headers: str) -> requests.Response:
    ca = str(cluster.where.certificate)
    return requests.get(cluster.where.url + path, headers=headers, verify=ca, timeout=20)


def nothing_lost(told: dict[str, Any]) -> None:
    history = told["history"]
    assert history["ok"], history
    assert history["sent"] == history["acknowledged"] > 0
    assert history["applied"] == history["expected"] > 0
    assert told["connections"]["given_up"] == 0


def blocks(title: str) -> str:
    """The commands of one section of docs/rollback.md."""
    text = (ROOT / "docs" / "rollback.md").read_text()
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return str(commands)


def carried_out(cluster: Cluster, title: str, before: Path) -> None:
    variables = {
        "RUN_DIR": str(cluster.where.folder),
        "BEFORE": str(before),
        "AFTER": str(ROOT),
        "NODES": "--despite-freeze --cluster",
    }
    done = subprocess.run(
        ["bash", "-euc", blocks(title)], cwd=ROOT, env=environ(cluster) | variables, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def trees(cluster: Cluster) -> set[Path]:
    """Whose code the nodes run."""
    return {Path(psutil.Process(node.pid).cwd()) for node in cluster.nodes.values()}


def test_code_and_schema_go_back_and_forth_under_load_and_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    """The version before is that before the newest step of the schema, so it runs on the schema with the step, too."""
    newest, before = version_before(tmp_path / "before")
    pids = {node.pid for node in cluster.nodes.values()}
    with load(cluster, tmp_path, seconds=35) as talking:
        carried_out(cluster, "Code back", before)
        assert trees(cluster) == {before}
        assert pids.isdisjoint(node.pid for node in cluster.nodes.values())
        carried_out(cluster, "Schema back", before)
        assert f"pending  {newest}" in status(cluster)
        carried_out(cluster, "Schema and code forward again", before)
        assert trees(cluster) == {ROOT}
        assert "pending" not in status(cluster)
        told = talking.told()
    nothing_lost(told)
    assert told["connections"]["drained"] >= 60  # everybody moved at least once, on a slow machine too
    assert told["connections"]["unexpected_closes"] == {}


def status(cluster: Cluster) -> str:
    words = [sys.executable, "-m", "app", "migrate", "status"]
    return subprocess.run(words, cwd=ROOT, env=environ(cluster), capture_output=True, text=True, check=False).stdout


def test_each_step_of_the_schema_says_why_the_version_before_can_run_on_it() -> None:
    silent = [
        path.name
        for path in (ROOT / "migrations").glob("*.sql")
        if not path.name.endswith(".rollback.sql")
        and not re.search(r"^-- Compatible one version back: ", path.read_text().partition("\n\n")[0], re.MULTILINE)
    ]
    assert silent == []


def test_a_killed_node_and_a_redis_that_forgets_everything_lose_nothing(cluster: Cluster, tmp_path: Path) -> None:
    client = redis.Redis(port=cluster.where.ports.redis_port)
    with load(cluster, tmp_path, seconds=10) as talking:
        killed = cluster.nodes["node2"].pid
        cluster.kill("node2")
        eventually(lambda: cluster.nodes["node2"].pid not in (None, killed))
        cluster.wait_until_ready()
        eventually(lambda: len(client.keys("device:*:session")), lambda there: there >= 60, within_s=30)
        carried_out(cluster, "Redis emptied", ROOT)
        # Long before the last of them would have been renewed by its turn, 100 s.
        eventually(lambda: len(client.keys("device:*:session")), lambda there: there >= 60, within_s=30)
        told = talking.told()
    nothing_lost(told)


def test_nobody_is_replaced_while_another_is_away(cluster: Cluster) -> None:
    cluster.drain("node3")
    pids = [cluster.nodes[name].pid for name in ("node1", "node2")]
    try:
        with pytest.raises(RollError, match="node3: not ready, so nothing was begun"):
            roll(list(cluster.nodes.values()), print)
    finally:
        cluster.start("node3")
    cluster.wait_until_ready()
    assert [cluster.nodes[name].pid for name in ("node1", "node2")] == pids


def test_nodes_elsewhere_are_replaced_by_a_command_and_the_first_that_fails_ends_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    addresses = [f"127.0.0.1:{node.port}" for node in cluster.nodes.values()]
    command = tmp_path / "restart"

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "deploy.rolling", "--restart-file", str(command), *addresses]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    command.write_text(f"touch {tmp_path}/{{host}}-{{port}}\n")
    assert run().returncode == 0
    asked = sorted(path.name for path in tmp_path.glob("127*"))
    assert asked == sorted(address.replace(":", "-") for address in addresses)
    command.write_text(f"mv {tmp_path}/{{host}}-{{port}} {tmp_path}/nowhere/\n")
    failed = run()
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"{addresses[0]}: mv ")
    assert addresses[1] not in failed.stderr


def test_a_frozen_deployment_is_told_to_the_team_and_refuses_a_deploy(cluster: Cluster) -> None:
    ports = cluster.where.ports
    alertmanager = ["--alertmanager", f"http://127.0.0.1:{ports.alertmanager_port}"]
    until = datetime.now(UTC) + timedelta(hours=2)

    def run(module: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"deploy.{module}", *words], cwd=ROOT, text=True, capture_output=True, check=False,
            env=os.environ | {"RUN_DIR": str(cluster.where.folder)}, timeout=60,
        )  # fmt: skip

    def told() -> list[str]:
        login = ("oncall", (cluster.where.secrets / "oncall-password").read_text())
        events = requests.get(f"http://127.0.0.1:{ports.oncall_port}/api/events", auth=login, timeout=5).json()
        return [event["status"] for event in events if event["labels"]["alertname"] == "DeployFreeze"]

    eventually(lambda: answers(f"http://127.0.0.1:{ports.alertmanager_port}/-/ready"))
    eventually(lambda: answers(f"http://127.0.0.1:{ports.oncall_port}/health"))
    assert run("freeze", "check").returncode == 0
    past = ["start", *alertmanager, "--by", "ann", "--reason", "the fair", "--until", "2020-01-01T00:00"]
    assert run("freeze", *past).returncode == 2
    begun = run("freeze", *past[:-1], f"{until:%Y-%m-%dT%H:%M}")
    assert begun.returncode == 0, begun.stderr
    words = f"deploys are frozen until {until:%Y-%m-%d %H:%M} UTC by ann: the fair"
    pids = [node.pid for node in cluster.nodes.values()]
    for refused in (run("freeze", "check"), run("rolling", "--cluster")):
        assert refused.returncode == 1
        assert words in refused.stderr
    assert [node.pid for node in cluster.nodes.values()] == pids
    eventually(told, lambda statuses: statuses == ["firing"])
    assert run("freeze", "end", *alertmanager).returncode == 0
    eventually(told, lambda statuses: "resolved" in statuses)
    assert run("freeze", "check").returncode == 0


def test_no_query_is_in_any_log(cluster: Cluster) -> None:
    """Neither of what succeeds nor of what fails, nor behind an encoded question mark, nor in nginx's own words."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    paths = [f"/calls?token={LEAK}", f"/ws?token={LEAK}", f"/ws%3Ftoken={LEAK}", f"/media/{'0' * 64}?e=1&s={LEAK}"]
    for name in cluster.nodes:  # whoever is asked first hangs up in the midst of the answer, or refuses
        cluster.child(name).send(signal.SIGSTOP)
    for path in paths:
        with pytest.raises(requests.Timeout):
            requests.get(cluster.where.url + path, headers=upgrade, verify=str(cluster.where.certificate), timeout=0.5)
    for name in cluster.nodes:
        cluster.kill(name)
    for path in paths:
        get(cluster, path, **upgrade)
    cluster.wait_until_ready()
    statuses = [get(cluster, path, **upgrade).status_code for path in paths]
    assert statuses[:2] == [401, 401]
    with suppress(requests.ConnectionError):  # it may hang up before all of it was sent
        get(cluster, "/" + "x" * 40_000 + f"?token={LEAK}")  # a line that nginx itself refuses
    access = cluster.where.logs / "nginx-access.log"
    eventually(lambda: access.read_text().count('"path":"/calls"') >= 2)
    assert '"status":"502"' in access.read_text() or '"status":"504"' in access.read_text()  # what failed is told
    leaking = [path.name for path in cluster.where.logs.iterdir() if LEAK in path.read_text(errors="replace")]
    assert leaking == []
    assert "worker process" in (cluster.where.logs / "nginx.log").read_text()


def test_media_come_from_the_cache_and_the_page_comes_compressed(cluster: Cluster) -> None:
    direct = Api(cluster.nodes["node1"].url)
    ann, bob = register(direct), register(direct)
    conv = direct.create_conversation(ann, [bob.name])
    content = os.urandom(50_000)
    digest = hashlib.sha256(content).hexdigest()
    form = {"conv": conv, "size_bytes": len(content), "sha256": digest}
    bearer = {"Authorization": f"Bearer {ann.access_token}"}
    begun = requests.post(f"{direct.base_url}/api/media/uploads", json=form, headers=bearer, timeout=20).json()
    address = requests.put(
        f"{direct.base_url}/api/media/uploads/{begun['upload']}?offset=0", data=content, headers=bearer, timeout=20
    ).json()["url"]
    first, second = get(cluster, address), get(cluster, address)
    assert first.content == second.content == content
    assert [answer.headers["X-Cache-Status"] for answer in (first, second)] == ["MISS", "HIT"]
    part = get(cluster, address, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, content[10:20])
    # Another signature is another address, and who asks with a token of their own is answered by a node.
    assert get(cluster, address[:-2] + "xx").status_code in (400, 401, 403, 404)
    own = [get(cluster, f"/media/{digest}", **bearer) for _ in range(2)]
    assert [answer.headers["X-Cache-Status"] for answer in own] == ["MISS", "MISS"]
    assert get(cluster, f"/media/{digest}").status_code in (401, 403, 404)

    page = get(cluster, "/", **{"Accept-Encoding": "br"})
    assert (page.headers["Content-Encoding"], page.headers["X-Content-Type-Options"]) == ("br", "nosniff")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert get(cluster, "/test/faults").status_code == 404


def test_old_tls_is_refused(cluster: Cluster) -> None:
    address = ("127.0.0.1", cluster.where.ports.tls)
    for version, taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl.create_default_context(cafile=str(cluster.where.certificate))
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        try:
            with socket.create_connection(address, 5) as plain:
                context.wrap_socket(plain, server_hostname="localhost").close()
            assert taken, version
        except ssl.SSLError:
            assert not taken, version
