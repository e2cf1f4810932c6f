"""A small client of Prometheus' HTTP API: instant and range queries, raw samples, flags.

Queries are POSTed, since an expression may be longer than a URL. Long spans are asked
for in pieces, because Prometheus refuses more than 11,000 points a series. Whatever
goes wrong is a PrometheusError with the URL and Prometheus' own message; the URL is
shown without the user and password that may stand in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
import yaml
from requests.auth import AuthBase, HTTPBasicAuth

from monitoring.errors import ConfigError, Mistake, PrometheusError, UnreachableError

MAX_POINTS = 11_000
"""Points a series that Prometheus gives in one answer. Source: web/api/v1/api.go."""
RAW_AT_ONCE_S = 7 * 86400
"""Of raw samples; at one each 15 s that is 40,320 a series."""
CONNECT_TIMEOUT_S = 5
QUERY_TIMEOUT_S = 120
"""Prometheus' own default limit of a query."""
_SLACK_S = 10

Labels = Mapping[str, str]
Form = Mapping[str, str] | list[tuple[str, str]]


@dataclass(frozen=True)
class Point:
    """One value at one moment; `at` in Unix seconds."""

    at: float
    value: float


@dataclass(frozen=True)
class Series:
    """Points of one set of labels, oldest first; never empty."""

    labels: Labels
    points: tuple[Point, ...]


@dataclass(frozen=True, repr=False)
class Credentials(AuthBase):
    """Basic authentication with a `username`, a bearer token without."""

    secret: str
    username: str | None = None

    @classmethod
    def read(cls, path: Path, username: str | None) -> Credentials:
        """The secret is the file's content, without the blanks around it. Raises ConfigError."""
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([Mistake(str(path), None, f"cannot be read: {error}")]) from None
        if not secret or not secret.isprintable():
            raise ConfigError([Mistake(str(path), None, "expected one line with a token or password")])
        return cls(secret, username)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """As requests asks for authentication; what a .netrc says of the host then does not count."""
        if self.username is None:
            request.headers["Authorization"] = f"Bearer {self.secret}"
            return request
        signed: requests.PreparedRequest = HTTPBasicAuth(self.username, self.secret)(request)
        return signed

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class Client:
    """One Prometheus. `warnings` collects what it said beside its answers, such as that some are partial."""

    def __init__(self, url: str, credentials: Credentials | None = None, timeout_s: float = QUERY_TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self.shown_url = _without_user(self.url)
        self.warnings: list[str] = []
        self._timeout_s = timeout_s
        self._session = requests.Session()
        if credentials:
            self._session.auth = credentials

    def instant(self, expr: str, at: float | None = None) -> list[Series]:
        """One point for each series of an instant vector; `at` None is now. Raises PrometheusError."""
        result = self._query("query", {"query": expr} | ({} if at is None else {"time": _time(at)}), "vector")
        return [Series(one["metric"], _points([one["value"]])) for one in result]

    def scalar(self, expr: str, at: float | None = None) -> float | None:
        """The value of an expression that gives at most one series; None without one, and for NaN and infinity.

        Raises PrometheusError, for more series too.
        """
        found = self.instant(expr, at)
        if len(found) > 1:
            raise PrometheusError(f"{self.shown_url}: expected at most one series, found {len(found)} of: {expr}")
        return found[0].points[0].value if found and math.isfinite(found[0].points[0].value) else None

    def range(self, expr: str, start: float, end: float, step_s: float, max_points: int = MAX_POINTS) -> list[Series]:
        """Values at start, start + step, … up to `end`, whatever their number. Raises PrometheusError."""
        found: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        for first, last in pieces(start, end, step_s, max_points):
            window = {"start": _time(first), "end": _time(last), "step": f"{step_s:.3f}"}
            _collect(found, self._query("query_range", {"query": expr} | window, "matrix"))
        return _series(found)

    def raw(self, selector: str, start: float, end: float, at_once_s: float = RAW_AT_ONCE_S) -> list[Series]:
        """Samples as they are stored, with their own times, in start < t <= end; asked for `at_once_s` at a time.

        Raises PrometheusError.
        """
        found: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        for first, last in spans(start, end, at_once_s):
            length_ms = max(round((last - first) * 1000), 1)
            result = self._query("query", {"query": f"{selector}[{length_ms}ms]", "time": _time(last)}, "matrix")
            # Before Prometheus 3 a range holds its first moment too, which belongs to the piece before.
            _collect(found, result, after=first)
        return _series(found)

    def flags(self) -> dict[str, str] | None:
        """The flags it was started with; None where there is no such thing, as with Thanos. Raises PrometheusError."""
        try:
            data = self._data("GET", "status/flags", {})
        except _NotFoundError:
            return None
        return {str(key): str(value) for key, value in data.items()}

    def configuration(self) -> dict[str, Any]:
        """What it runs with. Raises PrometheusError."""
        found: dict[str, Any] = yaml.safe_load(self._data("GET", "status/config", {})["yaml"])
        return found

    def metadata(self) -> dict[str, str]:
        """The type of each family that targets tell of; of several the first. Raises PrometheusError."""
        told = self._data("GET", "metadata", {})
        return {name: str(some[0].get("type", "unknown")) for name, some in told.items() if some}

    def series(self) -> list[dict[str, str]]:
        """The labels of every series that has a sample now. Raises PrometheusError."""
        return [dict(one.labels) for one in self.instant('{__name__!=""}')]

    def head_min_time(self) -> float:
        """The oldest moment that is still in its head and not in a block, Unix seconds. Raises PrometheusError."""
        return float(self._data("GET", "status/tsdb", {})["headStats"]["minTime"]) / 1000

    def _query(self, path: str, form: dict[str, str], kind: str) -> list[Any]:
        data = self._data("POST", path, form | {"timeout": f"{self._timeout_s:g}s"})
        if data.get("resultType") != kind:
            raise PrometheusError(f"{self.shown_url}: expected a {kind}, found {data.get('resultType')}")
        result: list[Any] = data["result"]
        return result

    def answer(self, method: str, path: str, form: Form, *, stream: bool = False) -> requests.Response:
        """What it says to a request below api/v1, whatever that is. Raises UnreachableError.

        A GET carries `form` in its URL. With `stream` the body is still to be read, and the answer to be closed.
        """
        try:
            # A redirect would turn a POST into a GET without its form.
            return self._session.request(
                method,
                f"{self.url}/api/v1/{path}",
                data=None if method == "GET" else form or None,
                params=form if method == "GET" else None,
                timeout=(CONNECT_TIMEOUT_S, self._timeout_s + _SLACK_S),
                allow_redirects=False,
                stream=stream,
            )
        except requests.RequestException as error:
            raise self.unreachable(error) from None

    def unreachable(self, error: requests.RequestException) -> UnreachableError:
        """What broke a request, without what the URL may hold of a password."""
        reason = "did not answer in time" if isinstance(error, requests.Timeout) else "cannot be reached"
        return UnreachableError(f"{self.shown_url}: {reason} ({type(error).__name__})")

    def _data(self, method: str, path: str, form: dict[str, str]) -> dict[str, Any]:
        answer = self.answer(method, path, form)
        body = _json(answer)
        if body is None or body.get("status") != "success" or not isinstance(body.get("data"), dict):
            raise self._refused(path, answer, body)
        self.warnings += [str(one) for one in body.get("warnings", ()) if str(one) not in self.warnings]
        found: dict[str, Any] = body["data"]
        return found

    def _refused(self, path: str, answer: requests.Response, body: dict[str, Any] | None) -> PrometheusError:
        where = f"{self.shown_url}/api/v1/{path}"
        if body and body.get("error"):
            return PrometheusError(f"{where}: {body.get('errorType', answer.status_code)}: {body['error']}")
        if answer.status_code == requests.codes.not_found:
            return _NotFoundError(f"{where}: 404, nothing is there; is this the URL of a Prometheus?")
        if answer.status_code >= requests.codes.internal_server_error:
            return UnreachableError(f"{where}: HTTP status {answer.status_code}")
        return PrometheusError(f"{where}: HTTP status {answer.status_code}, not the answer of a Prometheus")


class _NotFoundError(PrometheusError):
    """Nothing is served at this path."""


def pieces(start: float, end: float, step_s: float, max_points: int = MAX_POINTS) -> Iterator[tuple[float, float]]:
    """The grid start, start + step, … <= end in runs of at most `max_points`: (first, last) of each.

    >>> list(pieces(0, 50, 10, 3))
    [(0, 20), (30, 50)]
    >>> list(pieces(0, -1, 10))
    []
    """
    # Counted in whole steps, so that no rounding makes or loses a point; a millisecond is what Prometheus keeps.
    points = int((end - start + 0.001) // step_s) + 1 if end >= start else 0
    for first in range(0, points, max_points):
        last = min(first + max_points, points) - 1
        yield start + first * step_s, start + last * step_s


def spans(start: float, end: float, longest_s: float) -> Iterator[tuple[float, float]]:
    """The span in pieces of at most `longest_s` that meet.

    >>> list(spans(0, 25, 10))
    [(0, 10), (10, 20), (20, 25)]
    """
    while start < end:
        stop = min(start + longest_s, end)
        yield start, stop
        start = stop


def _collect(
    found: dict[tuple[tuple[str, str], ...], list[Point]], result: list[Any], after: float | None = None
) -> None:
    for one in result:
        points = [p for p in _points(one["values"]) if after is None or p.at > after + 0.0005]
        if points:
            found.setdefault(tuple(sorted(one["metric"].items())), []).extend(points)


def _series(found: dict[tuple[tuple[str, str], ...], list[Point]]) -> list[Series]:
    return [Series(dict(labels), tuple(points)) for labels, points in sorted(found.items())]


def _points(values: list[list[Any]]) -> tuple[Point, ...]:
    return tuple(Point(float(at), float(value)) for at, value in values)


def _time(at: float) -> str:
    return f"{at:.3f}"


def _json(answer: requests.Response) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _without_user(url: str) -> str:
    """
    >>> _without_user("https://me:secret@prometheus.test:9090/path")
    'https://prometheus.test:9090/path'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
