"""Attachments and avatars on real nodes: uploaded in pieces across nodes and kills, read by those who may."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from app.storage import PART_BYTES
from app.storage.disk import DiskStorage
from monitoring.client.api import Account, Api
from tests.support.people import register
from tests.support.servers import Node, running_node
from tests.support.sql import execute, rows

CONTENT = os.urandom(PART_BYTES + 1_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def nodes(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    folder = tmp_path_factory.mktemp("media")
    more = {"MEDIA_DIR": str(folder / "media"), "MEDIA_MAX_BYTES": "20000000"}
    with (
        running_node(shared_database_url, folder / "one.log", **more) as one,
        running_node(shared_database_url, folder / "two.log", **more) as two,
    ):
        yield one, two


def ask(api: Api, account: Account | None, method: str, path: str, **more: Any) -> requests.Response:
    headers = more.pop("headers", {})
    if account is not None:
        headers = headers | {"Authorization": f"Bearer {account.access_token}"}
    return requests.request(method, api.base_url + path, headers=headers, timeout=20, **more)


def begin(api: Api, account: Account, conv: int, content: bytes = CONTENT, **more: Any) -> requests.Response:
    form = {"conv": conv, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} | more
    return ask(api, account, "POST", "/api/media/uploads", json=form)


def put(api: Api, account: Account, upload: int, offset: int, chunk: bytes) -> requests.Response:
    return ask(api, account, "PUT", f"/api/media/uploads/{upload}?offset={offset}", data=chunk)


def uploaded(api: Api, account: Account, conv: int, content: bytes) -> dict[str, Any]:
    upload = begin(api, account, conv, content).json()["upload"]
    answer: dict[str, Any] = {}
    for offset in range(0, len(content), PART_BYTES):
        response = put(api, account, upload, offset, content[offset : offset + PART_BYTES])
        assert response.status_code == 200, response.text
        answer = response.json()
    return answer


def talk(api: Api) -> tuple[Account, Account, int]:
    ann, bob = register(api), register(api)
    return ann, bob, api.create_conversation(ann, [bob.name])


def test_a_chunk_on_one_node_and_the_next_on_another(nodes: tuple[Node, Node]) -> None:
    one, two = nodes[0].api, nodes[1].api
    ann, bob, conv = talk(one)
    made = begin(one, ann, conv)
    assert made.status_code == 201
    upload = made.json()["upload"]
    assert put(one, ann, upload, 0, CONTENT[:PART_BYTES]).json()["offset"] == PART_BYTES
    again = put(two, ann, upload, 0, CONTENT[:PART_BYTES])
    assert (again.status_code, again.json()["details"][0]["field"]) == (409, "offset")
    assert put(two, ann, upload, PART_BYTES, b"too short").status_code == 400
    assert ask(two, ann, "GET", f"/api/media/uploads/{upload}").json()["offset"] == PART_BYTES
    done = put(two, ann, upload, PART_BYTES, CONTENT[PART_BYTES:]).json()
    assert done["media"] == DIGEST

    address = ask(one, bob, "GET", f"/api/media/{DIGEST}").json()
    assert (address["url"], address["size_bytes"]) == (done["url"], len(CONTENT))
    got = ask(one, None, "GET", address["url"])
    assert got.content == CONTENT
    assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert ask(one, bob, "GET", f"/media/{DIGEST}").headers["Cache-Control"].startswith("private")
    assert ask(one, ann, "GET", f"/api/media/uploads/{upload}").status_code == 404


def test_ranges_and_conditions(nodes: tuple[Node, Node]) -> None:
    api = nodes[0].api
    ann, _, conv = talk(api)
    content = bytes(range(256)) * 10
    url = uploaded(api, ann, conv, content)["url"]

    def get(**headers: str) -> requests.Response:
        return ask(api, None, "GET", url, headers={k.replace("_", "-"): v for k, v in headers.items()})

    etag = get().headers["ETag"]
    part = get(Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    assert get(Range="bytes=-5").content == content[-5:]
    assert get(Range="bytes=2550-").content == content[2550:]
    beyond = get(Range="bytes=99999-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    assert get(Range="bytes=0-1,4-5").status_code == 200  # several ranges are no use here: all of it
    assert get(Range="bytes=10-19", If_Range=etag).status_code == 206
    assert get(Range="bytes=10-19", If_Range='"another"').status_code == 200
    same = get(If_None_Match=etag)
    assert (same.status_code, same.content) == (304, b"")
    head = ask(api, None, "HEAD", url)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(content)), b"")


def test_who_may_not_cannot(nodes: tuple[Node, Node]) -> None:
    api = nodes[0].api
    ann, bob, conv = talk(api)
    eve = register(api)
    done = uploaded(api, ann, conv, b"for bob's eyes")
    name, url = done["media"], done["url"]
    assert begin(api, eve, conv).status_code == 404
    for path in (f"/api/media/{name}", f"/media/{name}"):
        assert ask(api, eve, "GET", path).status_code == 404
        assert ask(api, bob, "GET", path).status_code == 200
    upload = begin(api, ann, conv).json()["upload"]
    assert ask(api, bob, "GET", f"/api/media/uploads/{upload}").status_code == 404
    assert put(api, bob, upload, 0, CONTENT[:PART_BYTES]).status_code == 404
    assert ask(api, None, "GET", f"/api/media/{name}").status_code == 401
    expires, signature = url.split("?e=")[1].split("&s=")
    for bad in ("", "?e=1&s=x", f"?e={expires}&s={signature[:-1]}0", f"?e={int(expires) + 86400}&s={signature}"):
        response = ask(api, None, "GET", f"/media/{name}{bad}")
        assert response.status_code == 403 or bad.endswith(signature), bad
    # To know what something is called is not to have it: the whole must be brought.
    form = begin(api, eve, api.create_conversation(eve, [bob.name]), b"for bob's eyes").json()
    assert put(api, eve, form["upload"], 0, b"for eve's eyes").status_code == 400
    assert ask(api, eve, "GET", f"/api/media/{name}").status_code == 404
    api.call("DELETE", f"/api/conversations/{conv}/members/me", token=bob.access_token)
    assert ask(api, bob, "GET", f"/api/media/{name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "a" * 63, "A" * 64, "a" * 64 + "%00", "%2e%2e/" + "a" * 64],
)
def test_no_path_leads_elsewhere(nodes: tuple[Node, Node], path: str) -> None:
    api = nodes[0].api
    request = requests.Request("GET", api.base_url).prepare()
    for prefix in ("/media/", "/media/avatars/", "/api/media/"):
        request.url = api.base_url + prefix + path  # as it is, not normalised
        with requests.Session() as session:
            assert session.send(request, timeout=10).status_code == 404


def test_what_is_too_much_is_refused(nodes: tuple[Node, Node]) -> None:
    api = nodes[0].api
    ann, _, conv = talk(api)
    too_large = begin(api, ann, conv, size_bytes=20_000_001)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
    for form in ({"size_bytes": 0}, {"sha256": "../x"}, {"sha256": DIGEST.upper()}, {"more": 1}):
        assert begin(api, ann, conv, **form).status_code == 400
    for _ in range(10):
        assert begin(api, ann, conv).status_code == 201
    assert begin(api, ann, conv).status_code == 429


def test_an_upload_goes_on_after_a_kill(database_url: str, tmp_path: Path) -> None:
    media = {"MEDIA_DIR": str(tmp_path / "media")}
    with running_node(database_url, tmp_path / "one.log", **media) as node:
        ann, _, conv = talk(node.api)
        upload = begin(node.api, ann, conv).json()["upload"]
        put(node.api, ann, upload, 0, CONTENT[:PART_BYTES])
        node.process.kill()
    with running_node(database_url, tmp_path / "two.log", **media) as node:
        offset = ask(node.api, ann, "GET", f"/api/media/uploads/{upload}").json()["offset"]
        # As if it had died once more, after the last chunk was stored and before it was answered.
        execute(database_url, f"UPDATE media_uploads SET received = size_bytes WHERE id = {upload}")
        storage = DiskStorage(tmp_path / "media")
        ((handle,),) = rows(database_url, "SELECT handle FROM media_uploads")
        storage.put_part(handle, 2, CONTENT[offset:])
        done = put(node.api, ann, upload, len(CONTENT), b"").json()
        assert ask(node.api, None, "GET", done["url"]).content == CONTENT


# --- avatars ------------------------------------------------------------------------------------------


def picture(size: tuple[int, int], kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **more)
    return out.getvalue()


def test_avatars_are_upright_square_stripped_and_public(nodes: tuple[Node, Node]) -> None:
    api = nodes[0].api
    ann, bob, _ = talk(api)
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    made = ask(api, ann, "PUT", "/api/avatar", data=picture((600, 300), "JPEG", exif=exif))
    assert made.status_code == 200, made.text
    for size in (48, 96, 192, 512):
        url = ask(api, bob, "GET", f"/api/users/{ann.user}/avatar?size={size}").json()["url"]
        got = ask(api, None, "GET", url)
        assert (got.status_code, got.headers["Content-Type"]) == (200, "image/webp")
        assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert b"where I live" not in got.content
        with Image.open(io.BytesIO(got.content)) as image:
            assert (image.format, image.size) == ("WEBP", (size, size))
    name = made.json()["avatar"]
    assert ask(api, None, "GET", f"/media/avatars/{name}-100.webp").status_code == 404
    assert ask(api, None, "GET", f"/media/avatars/{'0' * 64}-48.webp").status_code == 404
    assert ask(api, bob, "GET", f"/api/users/{ann.user}/avatar?size=100").status_code == 400
    assert ask(api, register(api), "GET", f"/api/users/{ann.user}/avatar").status_code == 404
    assert ask(api, ann, "DELETE", "/api/avatar").status_code == 204
    assert ask(api, bob, "GET", f"/api/users/{ann.user}/avatar").status_code == 404


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture((640, 640), "JPEG")[:1_000],
        picture((64, 64), "BMP"),
        picture((6_000, 6_000)),
    ],
    ids=["nothing", "text", "svg", "cut off", "another format", "pixel bomb"],
)
def test_what_is_no_picture_is_refused(nodes: tuple[Node, Node], data: bytes) -> None:
    api = nodes[0].api
    response = ask(api, register(api), "PUT", "/api/avatar", data=data)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert ask(api, register(api), "PUT", "/api/avatar", data=b"x" * (5 * 1024 * 1024 + 1)).status_code == 413
