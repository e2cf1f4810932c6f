"""The server does what its OpenAPI document says: asked by schemathesis, with a fixed seed."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from PIL import Image

from app import config
from app.factory import create_node
from app.http.contract import document
from tests.support.people import PASSWORD, register
from tests.support.servers import ADMIN_TOKEN, Node, running_node

OPERATORS, ENDS = "^/test/", "devices.revoke.delete"


@pytest.fixture(scope="module")
def node(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("openapi")
    more = {"MEDIA_DIR": str(folder), "TURN_SECRET": "s" * 40, "TURN_URIS": "turn:turn.example.com"}
    with running_node(shared_database_url, folder / "log", **more) as running:
        yield running


def ask(node: Node, folder: Path, token: str, *which: str) -> None:
    """Has schemathesis try the operations that `which` chooses, with this bearer token; fails with what it found."""
    # A list beyond its length may also be beyond what a body may have.
    (folder / "schemathesis.toml").write_text(
        '[checks.negative_data_rejection]\nexpected-statuses = ["400", "401", "403", "404", "413"]\n'
    )
    result = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", "schemathesis.toml",
            "run",
            f"{node.api.base_url}/api/openapi.json",
            "--header", f"Authorization: Bearer {token}",
            *which,
            "--checks", "all",
            # What is well-formed may still be refused (another's id), and a link is claimed without a token.
            "--exclude-checks", "positive_data_acceptance,use_after_free,ensure_resource_availability",
            "--mode", "all",
            "--phases", "examples,coverage,fuzzing",
            "--max-examples", "5",
            "--seed", "1",
            "--request-timeout", "10",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )  # fmt: skip
    short = "\n".join(line[:300] for line in result.stdout.splitlines())
    assert result.returncode == 0, short[-8_000:] + result.stderr[-2_000:]


def test_the_document_is_that_of_the_code(node: Node) -> None:
    app = create_node(config.load({"DATABASE_URL": "postgresql:///nowhere"})).app
    served = requests.get(f"{node.api.base_url}/api/openapi.json", timeout=10)
    assert served.json() == document(app)


class Tour:
    """Goes through operations one after another; each answer must be the success that the document promises."""

    def __init__(self, node: Node) -> None:
        self.base_url = node.api.base_url
        self.document = requests.get(f"{self.base_url}/api/openapi.json", timeout=10).json()
        self.left = {
            (method, path)
            for path, item in self.document["paths"].items()
            for method, described in item.items()
            if "101" not in described["responses"]
        }
        self._schema = schemathesis.openapi.from_dict(self.document)

    def go(self, method: str, path: str, token: str | None = None, form: Any = None, **more: Any) -> Any:
        """The answer, as JSON or bytes. `more` is of `requests`, or fills the path's parameters."""
        sent = {key: more.pop(key) for key in ("data", "params") if key in more}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self.base_url + path.format(**more)
        response = requests.request(method, url, json=form, headers=headers, timeout=20, **sent)
        promised = self.document["paths"][path][method]["responses"]
        assert str(response.status_code) == min(promised), f"{method} {path}: {response.status_code} {response.text}"
        self._schema[path][method.upper()].validate_response(response)
        self.left.discard((method, path))
        is_json = response.headers.get("Content-Type") == "application/json"
        return response.json() if is_json else response.content


def test_every_operation_succeeds_as_promised(node: Node) -> None:
    tour = Tour(node)
    form = {"name": "tourist", "password": PASSWORD}
    tour.go("post", "/auth/register", form=form)
    signed_in = tour.go("post", "/auth/login", form=form)
    token, bob = signed_in["access_token"], register(node.api)
    tour.go("post", "/auth/refresh", form={"refresh_token": signed_in["refresh_token"]})
    tour.go("post", "/auth/ws-token", token)

    conv = tour.go("post", "/api/conversations", token, {"members": [bob.name], "title": "tour"})["id"]
    tour.go("post", "/api/conversations/{conv}/members", token, {"members": [register(node.api).name]}, conv=conv)
    tour.go("get", "/api/conversations", token)
    tour.go("get", "/api/conversations/{conv}/presence", token, conv=conv)
    tour.go("get", "/api/calls/turn", token)

    tour.go("post", "/api/keys/upload", token, {})
    for what, field in (("query", "device_keys"), ("claim", "one_time_keys")):
        tour.go("post", f"/api/keys/{what}", token, {field: {}})
    tour.go("get", "/api/keys/changes", token, params={"from": "1"})
    tour.go("put", "/api/to-device/{type_}/{txn}", token, {"messages": {}}, type_="m.dummy", txn="1")

    picture = io.BytesIO()
    Image.new("RGB", (600, 600), "red").save(picture, "PNG")
    avatar = tour.go("put", "/api/avatar", token, data=picture.getvalue())["avatar"]
    tour.go("get", "/api/users/{user}/avatar", token, user=signed_in["user"], params={"size": "48"})
    assert tour.go("get", "/media/avatars/{sha256}-{size}.webp", sha256=avatar, size=48)[8:12] == b"WEBP"
    tour.go("delete", "/api/avatar", token)

    content = b"attached"
    about = {"conv": conv, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    upload = tour.go("post", "/api/media/uploads", token, about)["upload"]
    tour.go("get", "/api/media/uploads/{upload}", token, upload=upload)
    tour.go("put", "/api/media/uploads/{upload}", token, upload=upload, params={"offset": "0"}, data=content)
    tour.go("get", "/api/media/{sha256}", token, sha256=about["sha256"])
    assert tour.go("get", "/media/{sha256}", token, sha256=about["sha256"]) == content

    offered = tour.go("post", "/api/links", token)
    claimed = tour.go("post", "/api/links/claim", form={"device": {"type": "MOBILE"}, "payload": offered["payload"]})
    tour.go("get", "/api/links/{link}", token, link=offered["link"])
    tour.go("post", "/api/links/{link}/confirm", token, {"accept": True}, link=offered["link"])
    linked = tour.go("post", "/api/links/collect", form={"claim_token": claimed["claim_token"]})
    tour.go("get", "/api/devices", token)
    tour.go("patch", "/api/devices/{device}", token, {"name": "renamed"}, device=linked["device"])
    tour.go("delete", "/api/devices/{device}", token, device=linked["device"])

    tour.go("delete", "/api/conversations/{conv}/members/me", token, conv=conv)
    tour.go("post", "/auth/logout", token)
    for path in ("/", "/health", "/health/ready", "/api/openapi.json"):
        tour.go("get", path)
    tour.go("get", "/{name}", name="manifest.webmanifest")
    tour.go("post", "/test/broadcast", ADMIN_TOKEN)
    tour.go("post", "/test/faults", ADMIN_TOKEN, {})
    assert tour.left == set(), "not gone to; add a step"


def test_the_server_does_what_the_document_says(node: Node, tmp_path: Path) -> None:
    ann = register(node.api)
    node.api.create_conversation(ann, [register(node.api).name])
    ask(node, tmp_path, ann.access_token, "--exclude-path-regex", OPERATORS, "--exclude-operation-id", ENDS)


def test_what_ends_the_askers_own_sign_in(node: Node, tmp_path: Path) -> None:
    """On its own, with a person of its own: from some moment on every answer may be 401."""
    ask(node, tmp_path, register(node.api).access_token, "--include-operation-id", ENDS)


def test_what_operators_may_do(node: Node, tmp_path: Path) -> None:
    """Last, since the fault switches stay as they were left."""
    ask(node, tmp_path, ADMIN_TOKEN, "--include-path-regex", OPERATORS)
