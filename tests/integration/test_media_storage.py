"""Both storages keep the same promises: a folder, and a bucket on a real S3 server."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from app.errors import Unavailable
from app.storage import PART_BYTES, Storage
from app.storage.disk import DiskStorage
from app.storage.s3 import S3Storage
from deploy.stack.wait import answers
from tests.support.servers import eventually, free_port

PARTS = (b"a" * PART_BYTES, b"b" * PART_BYTES, b"the rest")
WHOLE = b"".join(PARTS)
DIGEST = hashlib.sha256(WHOLE).hexdigest()


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A real S3 server with a bucket called `media`."""
    port = free_port()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(f"{url}/moto-api/"))
        s3 = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
        )
        s3.create_bucket(Bucket="media")
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["disk", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "disk":
        return DiskStorage(tmp_path)
    return S3Storage("media", request.getfixturevalue("s3_url"), "a", "b", "us-east-1")


def read(storage: Storage, name: str, start: int = 0, stop: int | None = None) -> bytes:
    size = storage.size(name)
    assert size is not None
    return b"".join(storage.read(name, start, size if stop is None else stop))


def test_parts_become_an_object_in_their_order_whatever_the_order_they_came_in(storage: Storage) -> None:
    upload = storage.begin()
    storage.put_part(upload, 2, PARTS[0])
    for number in (3, 2, 1):  # the second is replaced
        storage.put_part(upload, number, PARTS[number - 1])
    assert storage.finish(upload, 3, DIGEST, DIGEST)
    assert read(storage, DIGEST) == WHOLE
    assert read(storage, DIGEST, PART_BYTES - 2, PART_BYTES + 2) == b"aabb"
    assert read(storage, DIGEST, 5, 5) == b""
    assert storage.finish(upload, 3, DIGEST, DIGEST), "again, as after a crash"


def test_what_was_not_promised_is_not_stored(storage: Storage) -> None:
    upload = storage.begin()
    storage.put_part(upload, 1, b"something else")
    wrong = hashlib.sha256(b"promised").hexdigest()
    assert not storage.finish(upload, 1, wrong, wrong)
    assert storage.size(wrong) is None
    storage.discard(upload)
    gone = storage.begin()
    storage.put_part(gone, 1, b"x")
    for _ in range(2):
        storage.discard(gone)


def test_small_objects_are_written_at_once(storage: Storage) -> None:
    for _ in range(2):
        storage.write("abc-48.webp", b"tiny")
    assert read(storage, "abc-48.webp") == b"tiny"
    assert storage.size("abc-96.webp") is None


def test_a_storage_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable):
        DiskStorage(tmp_path / "file").begin()
    with pytest.raises(Unavailable):
        S3Storage("media", f"http://127.0.0.1:{free_port()}", "a", "b", "us-east-1").begin()
