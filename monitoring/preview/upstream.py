"""The Prometheus as the page may ask it: a list of paths, bounded in time, size and number.

The page never learns its credentials: requests are made here, answers are passed on
without their headers, and what goes wrong is told in Prometheus' own shape with the
URL without user and password.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import requests

from monitoring.errors import UnreachableError
from monitoring.prometheus.client import Client

QUERY_TIMEOUT_S = 30.0
"""Less than Prometheus' own limit: nobody looks at a page for two minutes."""
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_AT_ONCE = 10
"""Requests under way; a browser makes six. One that finds no place within the time of a query is refused."""

POSTED = frozenset({"query", "query_range", "query_exemplars", "series", "labels"})
"""Paths that are passed on as a POST, since an expression may be longer than a URL, and URLs end up in logs."""
_READ = re.compile(r"metadata|label/[a-zA-Z_][a-zA-Z0-9_]*/values")
_PARAMETERS = frozenset(
    {"query", "time", "start", "end", "step", "limit", "match[]", "metric", "limit_per_metric", "lookback_delta"}
)
_PASSED_ON = frozenset({200, 400, 422, 503})
"""Statuses of Prometheus' own answers; anything else comes from what stands before it."""


@dataclass(frozen=True)
class Answer:
    """Status and JSON for the page."""

    status: int
    body: bytes


class Upstream:
    """One Prometheus, asked by many threads."""

    def __init__(self, client: Client) -> None:
        self.shown_url = client.shown_url
        self._client = client
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)

    def ask(self, path: str, parameters: Iterable[tuple[str, str]]) -> Answer:
        """What it says at api/v1/`path`; 404 for a path that no page needs."""
        if path not in POSTED and not _READ.fullmatch(path):
            return _failed(404, "not_found", f"{path}: the preview does not pass this on")
        form = [(key, value) for key, value in parameters if key in _PARAMETERS]
        if path.startswith("query"):
            form.append(("timeout", f"{QUERY_TIMEOUT_S:g}s"))
        if not self._places.acquire(timeout=QUERY_TIMEOUT_S):
            return _failed(503, "unavailable", f"more than {MAX_AT_ONCE} queries at once; try again")
        try:
            return self._asked(path, form)
        except UnreachableError as error:
            return _failed(502, "unavailable", str(error))
        finally:
            self._places.release()

    def _asked(self, path: str, form: list[tuple[str, str]]) -> Answer:
        deadline = time.monotonic() + 2 * QUERY_TIMEOUT_S
        with self._client.answer("POST" if path in POSTED else "GET", path, form, stream=True) as answer:
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            if answer.status_code not in _PASSED_ON or not is_json:
                return _failed(502, "bad_gateway", self._not_prometheus(answer.status_code))
            body = bytearray()
            try:
                for piece in answer.iter_content(65536):
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        return _failed(502, "too_large", f"more than {MAX_ANSWER_BYTES >> 20} MiB; ask for less")
                    if time.monotonic() > deadline:
                        return _failed(502, "timeout", f"{self.shown_url}: the answer takes too long")
            except requests.RequestException as error:
                raise self._client.unreachable(error) from None
            return Answer(answer.status_code, bytes(body))

    def _not_prometheus(self, status: int) -> str:
        if status in (401, 403):
            return f"{self.shown_url}: HTTP status {status}; --credentials-file names the file of a token it takes"
        return f"{self.shown_url}: HTTP status {status}, not the answer of a Prometheus"


def _failed(status: int, kind: str, message: str) -> Answer:
    return Answer(status, json.dumps({"status": "error", "errorType": kind, "error": message}).encode())
