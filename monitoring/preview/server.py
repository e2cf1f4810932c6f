"""The preview's HTTP side: its page, the boards as they lie on the disk, and what Prometheus says to them.

It reads and never writes, and asks nobody who they are: whoever reaches the port sees
the boards and every series. So it listens on loopback unless told otherwise, and
refuses what a browser sends on behalf of another site (a foreign Host, which DNS
rebinding brings; requests marked as cross-site).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Flask, Response, request, send_from_directory
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from monitoring.errors import MonitoringError
from monitoring.lint.run import lint
from monitoring.paths import shown
from monitoring.preview.boards import Board, Shelf
from monitoring.preview.upstream import Upstream

BUILT = Path(__file__).with_name("static")
"""What `make setup` builds from web/."""
IDLE_S = 60
_HEADERS = {
    # No inline script or style, and nothing from anywhere else; the page sets styles from its script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dashboards</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/app.css">
<script src="/static/app.js" defer></script>
</head>
<body data-state="loading"><noscript>This page draws the dashboards with JavaScript.</noscript></body>
</html>
"""


class NotBuiltError(MonitoringError):
    """The page's script was not built."""


class CannotListenError(MonitoringError):
    """The address or the port is not to be had."""


@dataclass(frozen=True)
class Source:
    """Where data comes from: the Prometheus, and how often it scrapes, as Prometheus writes durations."""

    upstream: Upstream
    scrape_interval: str


def is_built() -> bool:
    """Whether the page has its script."""
    return (BUILT / "app.js").is_file()


def require_built() -> None:
    """Raises NotBuiltError where the page has no script."""
    if not is_built():
        raise NotBuiltError(f"{shown(BUILT / 'app.js')} is missing; `make setup` builds the page (it needs npm)")


def create_app(shelf: Shelf, source: Source, host: str = "127.0.0.1") -> Flask:
    """The application; `host` is a name under which it may be asked beside loopback's."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # no redirects: a path is one of ours, or is not there

    @app.before_request
    def only_ours() -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return _said(405, "only GET")
        if not is_trusted(request.headers.get("Host", ""), host):
            return _said(403, f"not asked as {host}; another Host could be a foreign site's")
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and request.path.startswith("/api/"):
            return _said(403, "asked by another site")
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return _said(error.code or 500, error.description or error.name)

    @app.get("/")
    @app.get("/d/<uid>")
    @app.get("/d/<uid>/<slug>")
    def page(uid: str = "", slug: str = "") -> Response:  # noqa: ARG001  the page reads its own URL
        return Response(_PAGE, mimetype="text/html")

    @app.get("/static/<path:name>")
    def static_file(name: str) -> Response:
        return send_from_directory(BUILT, name)

    @app.get("/api/settings")
    def settings() -> Response:
        return _json({"scrapeInterval": source.scrape_interval, "prometheus": source.upstream.shown_url})

    @app.get("/api/boards")
    def boards() -> Response:
        return _json([{"uid": b.uid, "title": b.title, "tags": b.tags, "path": b.place} for b in shelf.read().boards])

    @app.get("/api/boards/<uid>")
    def board(uid: str) -> Response:
        found = _found(shelf, uid)
        return _json(found.json) if isinstance(found, Board) else found

    @app.get("/api/lint/<uid>")
    def findings(uid: str) -> Response:
        found = _found(shelf, uid)
        return _json(_findings(found)) if isinstance(found, Board) else found

    @app.get("/api/prometheus/api/v1/<path:path>")
    def prometheus(path: str) -> Response:
        answer = source.upstream.ask(path, request.args.items(multi=True))
        return Response(answer.body, answer.status, mimetype="application/json")

    return app


def _found(shelf: Shelf, uid: str) -> Board | Response:
    """The board; without it 422 with what is wrong with the files, which is then likely why, or 404."""
    found = shelf.read()
    if board := found.get(uid):
        return board
    if found.mistakes:
        return _said(422, "\n".join(map(str, found.mistakes)))
    return _said(404, f"no dashboard has the uid {uid!r}")


def _findings(board: Board) -> list[dict[str, Any]]:
    return [
        {
            "rule": one.rule.id,
            "severity": one.severity.name.lower(),
            "pointer": one.pointer,
            "message": one.message,
            "reason": one.rule.reason,
            "panelId": one.panel_id,
        }
        for one in lint(board.json)
    ]


def _said(status: int, error: str) -> Response:
    return _json({"error": error}, status)


def _json(value: object, status: int = 200) -> Response:
    """In the order it has: a board must arrive as it is written."""
    return Response(msgspec.json.encode(value), status, mimetype="application/json")


def is_trusted(header: str, host: str) -> bool:
    """Whether a Host header is one of ours: localhost, `host`, or any address, which no foreign site can rebind.

    >>> [is_trusted(one, "ci.test") for one in ("localhost:3002", "[::1]:3002", "10.0.0.7", "ci.test:80")]
    [True, True, True, True]
    >>> [is_trusted(one, "127.0.0.1") for one in ("evil.test:3002", "127.0.0.1.evil.test", "localhost@evil.test", "")]
    [False, False, False, False]
    """
    if "@" in header:
        return False
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Quiet(WSGIRequestHandler):
    """Keeps connections, and writes no log: a URL holds the queries somebody makes."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing."""


@dataclass(frozen=True)
class Listening:
    """A server that has its port and waits to be run."""

    url: str
    server: BaseWSGIServer


def listen(app: Flask, host: str, port: int) -> Listening:
    """Take the port (0: any free one). Raises CannotListenError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        taken = socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror or error).partition(" (")[0].lower()
        raise CannotListenError(f"cannot listen on {host}, port {port}: {why}; --port names another") from None
    with taken:
        # Its own attempt at a taken port would end the process without our sentence.
        server = make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=taken.fileno())
        shown_host = f"[{host}]" if ":" in host else host
        return Listening(f"http://{shown_host}:{taken.getsockname()[1]}", server)


@contextmanager
def running(app: Flask) -> Iterator[str]:
    """Served on a free port of loopback from another thread, until the block ends; gives the URL."""
    listening = listen(app, "127.0.0.1", 0)
    thread = threading.Thread(target=listening.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield listening.url
    finally:
        listening.server.shutdown()
        thread.join()
