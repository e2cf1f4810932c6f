"""One request over HTTP that is through within its time: a server that sends byte by byte cannot hold anybody up.

The timeout of `requests` is between two bytes. Here it is also that of the body as a whole; only a head that drips is
still bounded by what lies between two of its reads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec
import requests
import urllib3

READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Raises ValueError when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None


def ask(method: str, url: str, timeout_s: float, **more: Any) -> Answer:
    """One request with what `requests.request` takes besides. Raises requests.RequestException."""
    ends = time.monotonic() + timeout_s
    parts: list[bytes] = []
    with requests.request(method, url, timeout=timeout_s, stream=True, **more) as response:
        while part := _read(response.raw):
            parts.append(part)
            if time.monotonic() > ends:
                raise requests.ReadTimeout(f"the answer was not complete within {timeout_s:.1f} s")
    return Answer(response.status_code, b"".join(parts))


def _read(raw: urllib3.HTTPResponse) -> bytes:
    """What is there, waited for until there is something; nothing at the end."""
    try:
        return raw.read1(READ_BYTES, decode_content=True)
    except urllib3.exceptions.TimeoutError as error:
        raise requests.ReadTimeout(str(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise requests.ConnectionError(str(error)) from error
