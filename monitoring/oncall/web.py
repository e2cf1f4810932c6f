"""The receiver's HTTP side: Alertmanager posts, people look.

The webhook needs the bearer token that Alertmanager's configuration names; the page and its JSON
need the on-call password (HTTP Basic). A full or broken store answers 503, which Alertmanager
retries; a body that is no notification answers 400, which it does not.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from flask import Flask, Response, g, render_template, request
from prometheus_client import generate_latest

from monitoring.deployments.metrics import Deployments
from monitoring.oncall import webhook
from monitoring.oncall.agreed import agreed_now
from monitoring.oncall.metrics import OncallMetrics
from monitoring.oncall.store import Store

USER = "oncall"
SHOWN = 200
MAX_BODY_BYTES = 4 * 1024 * 1024
WATCHDOG_RECEIVER = "watchdog"


def create_app(
    store: Store,
    webhook_token: str,
    password: str,
    deployments: Path | None = None,
    maintenance: Path | None = None,
) -> Flask:
    """The application; `/alertmanager` takes notifications, `/` and `/api/events` show them.

    With a journal of `deployments`, `/metrics` tells the last ones; with a file of
    `maintenance`, the page says what is agreed on now, and who is not told of it.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.jinja_env.filters["utc"] = _utc
    numbers = OncallMetrics(lambda: store.open_count(WATCHDOG_RECEIVER))
    if deployments:
        numbers.registry.register(Deployments(deployments))

    @app.post("/alertmanager")
    def take() -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not _same(token, webhook_token):
            return _said(numbers, "unauthenticated", 401)
        try:
            notification = webhook.decode(request.get_data())
        except msgspec.DecodeError as error:
            return _said(numbers, "invalid", 400, str(error))
        try:
            now = time.time()
            new = store.add(notification.receiver, notification.alerts, now)
        except sqlite3.Error as error:
            return _said(numbers, "store_failed", 503, str(error))
        if notification.receiver == WATCHDOG_RECEIVER:
            numbers.watchdog_heard(now)
        else:
            numbers.received(notification, new, now)
        return _said(numbers, "stored", 200)

    @app.get("/")
    def page() -> Response:
        if not _signed_in(password):
            return _ask_for_password()
        g.nonce = secrets.token_urlsafe(16)
        open_count = store.open_count(WATCHDOG_RECEIVER)
        html = render_template(
            "events.html",
            events=_shown(store),
            open_count=open_count,
            agreed=agreed_now(maintenance, datetime.now(UTC)),
            nonce=g.nonce,
        )
        policy = f"default-src 'none'; style-src 'nonce-{g.nonce}'; frame-ancestors 'none'"
        return Response(html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})

    @app.get("/api/events")
    def events() -> Response:
        if not _signed_in(password):
            return _ask_for_password()
        return Response(msgspec.json.encode(_shown(store)), mimetype="application/json")

    @app.get("/health")
    def health() -> Response:
        store.latest(1)
        return Response('{"status":"ok"}', mimetype="application/json")

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(numbers.registry), mimetype="text/plain")

    return app


def _shown(store: Store) -> list[object]:
    return [event for event in store.latest(SHOWN) if event.receiver != WATCHDOG_RECEIVER]


def _said(numbers: OncallMetrics, result: str, status: int, message: str = "") -> Response:
    numbers.said(result)
    return Response(msgspec.json.encode({"result": result, "message": message}), status, mimetype="application/json")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _signed_in(password: str) -> bool:
    given = request.authorization
    return (
        given is not None and given.type == "basic" and _same(given.password or "", password) and given.username == USER
    )


def _ask_for_password() -> Response:
    return Response("sign in", 401, {"WWW-Authenticate": 'Basic realm="on call"'}, mimetype="text/plain")


def _utc(timestamp_s: float) -> str:
    return datetime.fromtimestamp(timestamp_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
