"""An S3 bucket, or anything that speaks its protocol.

An upload is a multipart upload to a key of its own. It is completed there, read back to be hashed, and copied to its
name. boto3's sockets are gevent's, as everything is patched before it is imported.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from app.errors import Unavailable
from app.storage import READ_BYTES

TIMEOUT_S = 10
_MISSING = ("404", "NoSuchKey", "NoSuchUpload", "NotFound")


class S3Storage:
    """Objects under objects/, uploads under uploads/ of one bucket."""

    def __init__(self, bucket: str, endpoint: str | None, access_key: str, secret_key: str, region: str) -> None:
        """`endpoint` None: Amazon's. The bucket must exist."""
        self._bucket = bucket
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=region,
            config=BotoConfig(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 2}),
        )

    def begin(self) -> str:
        """A new upload: its key and what S3 calls it."""
        key = f"uploads/{uuid.uuid4().hex}"
        with _translated():
            made = self._client.create_multipart_upload(Bucket=self._bucket, Key=key)
        return f"{key} {made['UploadId']}"

    def put_part(self, upload: str, number: int, data: bytes) -> None:
        """Store a part."""
        key, upload_id = upload.split(" ", 1)
        with _translated():
            self._client.upload_part(Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data)

    def finish(self, upload: str, parts: int, name: str, sha256: str) -> bool:
        """Complete the upload, read it back, and give it its name when it is what was promised."""
        key, upload_id = upload.split(" ", 1)
        with suppress(KeyError), _translated():  # it was completed, and the process died before it could go on
            stored = self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload_id)["Parts"]
            joined = [{"ETag": part["ETag"], "PartNumber": part["PartNumber"]} for part in stored[:parts]]
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": joined}
            )
        try:
            return self._name(key, name, sha256)
        except KeyError:
            return self.size(name) is not None

    def _name(self, key: str, name: str, sha256: str) -> bool:
        with _translated():
            digest = hashlib.sha256()
            for piece in self._pieces(key, {}):
                digest.update(piece)
            fits = digest.hexdigest() == sha256
            if fits:
                source = {"Bucket": self._bucket, "Key": key}
                self._client.copy_object(Bucket=self._bucket, Key=_key(name), CopySource=source)
            self._client.delete_object(Bucket=self._bucket, Key=key)
        return fits

    def discard(self, upload: str) -> None:
        """Drop an upload."""
        key, upload_id = upload.split(" ", 1)
        with suppress(KeyError), _translated():
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)

    def write(self, name: str, data: bytes) -> None:
        """Store an object."""
        with _translated():
            self._client.put_object(Bucket=self._bucket, Key=_key(name), Body=data)

    def size(self, name: str) -> int | None:
        """Size of an object."""
        try:
            with _translated():
                return int(self._client.head_object(Bucket=self._bucket, Key=_key(name))["ContentLength"])
        except KeyError:
            return None

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """A range of an object."""
        if start < stop:
            with _translated():
                yield from self._pieces(_key(name), {"Range": f"bytes={start}-{stop - 1}"})

    def _pieces(self, key: str, more: dict[str, str]) -> Iterator[bytes]:
        body = self._client.get_object(Bucket=self._bucket, Key=key, **more)["Body"]
        yield from body.iter_chunks(READ_BYTES)


def _key(name: str) -> str:
    return f"objects/{name}"


@contextmanager
def _translated() -> Iterator[None]:
    """KeyError for what is not there, Unavailable for everything else that S3 or the way to it has against it."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise KeyError from error
        raise Unavailable("the media storage refused a request") from error
    except BotoCoreError as error:
        raise Unavailable("the media storage cannot be reached") from error
