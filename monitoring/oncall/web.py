"""The HTTP side of on-call: Alertmanager posts, people look and act.

The webhook needs the bearer token that Alertmanager's configuration names. Everything else but /health and /metrics
needs a signed-in person: by the cookie of the sign-in form, or by HTTP Basic for programs. What changes something is
refused from other origins. A full or broken store answers 503, which Alertmanager retries; a body that is no
notification answers 400, which it does not.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Flask, Response, g, redirect, render_template, request
from prometheus_client import generate_latest

from monitoring.deployments.metrics import Deployments
from monitoring.oncall import webhook
from monitoring.oncall.agreed import agreed_now
from monitoring.oncall.drills import Drills, is_drill
from monitoring.oncall.metrics import OncallMetrics
from monitoring.oncall.people import SIGNED_IN_FOR_S, Caller, People, Role
from monitoring.oncall.settings import NOBODY, Settings
from monitoring.oncall.store import Store
from monitoring.oncall.watch import Glance

COOKIE = "oncall"
SHOWN = 200
TURNS = 4
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_NOTE_CHARS = 2_000
WATCHDOG_RECEIVER = "watchdog"
TRIES_A_MINUTE = 10
"""Wrong passwords a name may have."""

REMEMBERED_S = 20.0
"""How long a right password is known; so long somebody who was removed may still look."""

View = Callable[..., Any]


def create_app(
    store: Store,
    webhook_token: str,
    settings: Settings = NOBODY,
    deployments: Path | None = None,
    maintenance: Path | None = None,
    glance: Callable[[], Glance] = Glance,
) -> Flask:
    """The application.

    With a journal of `deployments`, `/metrics` tells the last ones; with a file of
    `maintenance`, the page says what is agreed on now, and who is not told of it. `glance`
    gives the budgets and probes that it shows.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.jinja_env.filters["utc"] = _utc
    people = People(store, time.time)
    doors, drills = Doors(people), Drills(store, settings)
    numbers = OncallMetrics(lambda: store.firing_count(WATCHDOG_RECEIVER), store.open_count, store.unsent_count)
    app.extensions["numbers"] = numbers
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
        is_watchdog = notification.receiver == WATCHDOG_RECEIVER or all(map(webhook.is_watchdog, notification.alerts))
        now = time.time()
        try:
            if is_watchdog and notification.status == "firing":
                store.heard_watchdog(now)
            drills.take(filter(is_drill, notification.alerts), now)
            notification.alerts = [alert for alert in notification.alerts if not is_drill(alert)]
            new = store.add(notification.receiver, notification.alerts, now, incidents=not is_watchdog)
        except sqlite3.Error as error:
            return _said(numbers, "store_failed", 503, str(error))
        if is_watchdog:
            numbers.watchdog_heard(now)
        else:
            numbers.received(notification, new, now)
        return _said(numbers, "stored", 200)

    @app.get("/sign-in")
    def sign_in_form() -> Response:
        return _page("sign-in.html", problem="")

    @app.post("/sign-in")
    def sign_in() -> Any:
        if not _same_origin():
            return _refused(403, "from another origin")
        caller = doors.check(request.form.get("name", ""), request.form.get("password", ""))
        if caller is None:
            return _page("sign-in.html", 401, problem="This name and password do not fit, or were tried too often.")
        answer = redirect("/", 303)
        answer.set_cookie(COOKIE, people.sign_in(caller), max_age=SIGNED_IN_FOR_S, httponly=True, samesite="Strict",
                          secure=request.is_secure)  # fmt: skip
        return answer

    @app.post("/sign-out")
    @doors.need(Role.VIEWER)
    def sign_out() -> Any:
        people.sign_out(request.cookies.get(COOKIE, ""))
        answer = redirect("/sign-in", 303)
        answer.delete_cookie(COOKIE)
        return answer

    @app.get("/")
    @doors.need(Role.VIEWER)
    def page() -> Response:
        now = datetime.now(UTC)
        turns = {name: list(one.turns(now, TURNS)) for name, one in settings.rotations.items()}
        return _page(
            "incidents.html",
            incidents=store.incidents(SHOWN),
            open_count=store.open_count(),
            agreed=agreed_now(maintenance, now),
            turns=turns,
            unsent=store.unsent_count(),
            glance=glance(),
            drill=drills.latest(),
        )

    @app.get("/incidents/<int:incident>")
    @doors.need(Role.VIEWER)
    def one(incident: int) -> Response:
        found = store.incident(incident)
        return (
            _page("incident.html", incident=found[0], timeline=found[1]) if found else _refused(404, "no such incident")
        )

    @app.get("/audit")
    @doors.need(Role.ADMIN)
    def audit() -> Response:
        return _page("audit.html", lines=people.audited(SHOWN), people=people.all())

    @app.post("/incidents/<int:incident>/<any(acknowledge, resolve, note):action>")
    @doors.need(Role.RESPONDER)
    def act_and_look(incident: int, action: str) -> Any:
        text = request.form.get("text", "")
        problem = act(incident, action, text)
        return _refused(*problem) if problem else redirect(f"/incidents/{incident}", 303)

    @app.post("/api/incidents/<int:incident>/<any(acknowledge, resolve, note):action>")
    @doors.need(Role.RESPONDER)
    def act_by_api(incident: int, action: str) -> Response:
        form = request.get_json(silent=True)
        text = form.get("text", "") if isinstance(form, dict) else ""
        problem = act(incident, action, text if isinstance(text, str) else "")
        return _refused(*problem) if problem else _json(store.incident(incident))

    def act(incident: int, action: str, text: str) -> tuple[int, str] | None:
        """Why it was refused (status, words), or nothing."""
        if store.incident(incident) is None:
            return 404, "no such incident"
        who, now = g.caller.name, time.time()
        if action == "note":
            if not 0 < len(text.strip()) <= MAX_NOTE_CHARS:
                return 400, f"text: expected 1 to {MAX_NOTE_CHARS} characters"
            store.note(incident, who, text.strip(), now)
        elif action == "acknowledge":
            store.acknowledge(incident, who, now)
        else:
            store.resolve(incident, who, now)
        people.audit(who, f"{action}: incident {incident}")
        return None

    @app.get("/api/incidents")
    @doors.need(Role.VIEWER)
    def incidents() -> Response:
        return _json(store.incidents(SHOWN, open_only=request.args.get("open") == "1"))

    @app.get("/api/incidents/<int:incident>")
    @doors.need(Role.VIEWER)
    def incident_as_json(incident: int) -> Response:
        found = store.incident(incident)
        return _json({**asdict(found[0]), "timeline": found[1]}) if found else _refused(404, "no such incident")

    @app.get("/api/drills/<drill>")
    @doors.need(Role.VIEWER)
    def drill_as_json(drill: str) -> Response:
        found = drills.found(drill)
        return _json(found) if found else _refused(404, "no such drill has arrived")

    @app.get("/api/on-call")
    @doors.need(Role.VIEWER)
    def on_call() -> Response:
        now = datetime.now(UTC)
        return _json({name: rotation.on_call(now) for name, rotation in settings.rotations.items()})

    @app.get("/api/events")
    @doors.need(Role.VIEWER)
    def events() -> Response:
        return _json([event for event in store.latest(SHOWN) if event.receiver != WATCHDOG_RECEIVER])

    @app.get("/health")
    def health() -> Response:
        store.open_count()
        return Response('{"status":"ok"}', mimetype="application/json")

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(numbers.registry), mimetype="text/plain")

    return app


class Doors:
    """Who may come in."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._wrong: dict[str, deque[float]] = {}
        self._key = secrets.token_bytes(32)
        self._lately: dict[bytes, tuple[float, Caller]] = {}

    def check(self, name: str, password: str) -> Caller | None:
        """Somebody with this name and password, unless that was tried too often of late."""
        now = time.monotonic()
        wrong = self._wrong.setdefault(name, deque())
        while wrong and wrong[0] < now - 60:
            wrong.popleft()
        caller = None if len(wrong) >= TRIES_A_MINUTE else self._known(name, password, now)
        if caller:
            del self._wrong[name]
            return caller
        wrong.append(now)
        if len(self._wrong) > 1_000:
            self._wrong.pop(next(iter(self._wrong)))
        return None

    def _known(self, name: str, password: str, now: float) -> Caller | None:
        """A password that was right just now is not hashed again: programs show theirs with each request."""
        digest = hmac.digest(self._key, f"{name}\0{password}".encode(), "sha256")
        self._lately = {key: kept for key, kept in self._lately.items() if kept[0] > now}
        if digest in self._lately:
            return self._lately[digest][1]
        caller = self._people.check(name, password)
        if caller:
            self._lately[digest] = now + REMEMBERED_S, caller
        return caller

    def need(self, role: Role) -> Callable[[View], View]:
        """Only for those who have this role."""

        def door(view: View) -> View:
            @wraps(view)
            def guarded(**values: Any) -> Any:
                caller = self._caller()
                if caller is None:
                    return self._ask()
                if not caller.may(role):
                    return _refused(
                        403, f"{caller.name} is a {caller.role.name.lower()}; this needs a {role.name.lower()}"
                    )
                if request.method == "POST" and not _same_origin():
                    return _refused(403, "from another origin")
                g.caller = caller
                return view(**values)

            return guarded

        return door

    def _caller(self) -> Caller | None:
        given = request.authorization
        if given is not None and given.type == "basic":
            return self.check(given.username or "", given.password or "")
        cookie = request.cookies.get(COOKIE)
        return self._people.signed_in(cookie) if cookie else None

    @staticmethod
    def _ask() -> Any:
        if request.path.startswith("/api/"):
            return Response("sign in", 401, {"WWW-Authenticate": 'Basic realm="on call"'}, mimetype="text/plain")
        return redirect("/sign-in", 303)


def _same_origin() -> bool:
    """Browsers say from where a form is posted (as "null" when the referrer policy forbids it); programs do not."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _page(template: str, status: int = 200, **values: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    caller = g.get("caller")
    may_act = caller is not None and caller.may(Role.RESPONDER)
    html = render_template(template, nonce=nonce, caller=caller, may_act=may_act, **values)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return Response(html, status, headers)


def _json(what: object) -> Response:
    return Response(msgspec.json.encode(what), mimetype="application/json", headers={"Cache-Control": "no-store"})


def _refused(status: int, message: str) -> Response:
    return Response(msgspec.json.encode({"message": message}), status, mimetype="application/json")


def _said(numbers: OncallMetrics, result: str, status: int, message: str = "") -> Response:
    numbers.said(result)
    return Response(msgspec.json.encode({"result": result, "message": message}), status, mimetype="application/json")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _utc(timestamp_s: float) -> str:
    return datetime.fromtimestamp(timestamp_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
