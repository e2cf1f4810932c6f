"""What all blueprints share: reading bodies, who calls, answering, and turning errors into JSON."""

from __future__ import annotations

import hmac
import time
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing import BaseConverter, Map

from app import logs
from app.config import Config
from app.domain.people import Identity
from app.errors import AppError, InvalidRequest, Unauthenticated
from app.http.contract import ID_PATTERN
from app.metrics import Metrics, outcome_of, requests_of
from app.services.accounts import Accounts

MAX_BODY_BYTES = 64 * 1024
T = TypeVar("T", bound=msgspec.Struct)
log = logs.get("http")


def body(form: type[T], max_bytes: int = MAX_BODY_BYTES) -> T:
    """The request's JSON body as `form`; raises InvalidRequest that names the field."""
    request.max_content_length = max_bytes
    try:
        return msgspec.json.decode(request.get_data(cache=False), type=form)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        field = place.strip(".`") or "(body)"
        raise InvalidRequest(f"{field}: {problem}", [{"field": field, "problem": problem}]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None


def answer(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(value), status, mimetype="application/json")


def bearer() -> str:
    """The bearer token of this request. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("an Authorization: Bearer token is needed")
    return token.strip()


def caller(accounts: Accounts) -> Identity:
    """Who calls; checked against the database, so that a revoked device is refused. Raises AppError."""
    identity = accounts.authenticate(bearer())
    note_probe(identity.probe)
    return identity


def note_probe(probe: bool) -> None:
    """Once it is known who asks: a probe's request is not counted among the users'."""
    g.probe = probe


def require_admin(config: Config) -> None:
    """Let only holders of ADMIN_TOKEN through. Raises Unauthenticated."""
    _require("admin", config.admin_token)


def require_prober(config: Config) -> None:
    """Let only holders of PROBE_TOKEN through. Raises Unauthenticated."""
    _require("probe", config.probe_token)


def _require(name: str, token: str | None) -> None:
    if not token or not hmac.compare_digest(bearer().encode(), token.encode()):
        raise Unauthenticated(f"the {name} token is needed")


def client_address(config: Config) -> str:
    """Where the request comes from; X-Forwarded-For counts only from TRUSTED_PROXIES."""
    peer = request.remote_addr or "unknown"
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-1].strip()
    if forwarded and _is_in(peer, config.trusted_proxies):
        return forwarded
    return peer


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        return any(ip_address(address) in ip_network(network) for network in networks)
    except ValueError:
        return False


class _Id(BaseConverter):
    """An id: what can be none is 404 before any code of ours sees it."""

    regex = ID_PATTERN

    def to_python(self, value: str) -> int:
        return int(value)


class _Regex(BaseConverter):
    """A part of a path that must look like this: whatever does not is 404 before any code of ours sees it."""

    part_isolating = False

    def __init__(self, url_map: Map, pattern: str) -> None:
        super().__init__(url_map)
        self.regex = pattern


def install(app: Flask, config: Config, metrics: Metrics) -> None:
    """Error answers, request log, outcome counts and CORS for every route."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.converters["regex"] = _Regex
    app.url_map.converters["id"] = _Id
    outcomes = requests_of(metrics, "http")

    @app.before_request
    def begin() -> Response | None:
        g.started = time.perf_counter()
        return Response(status=204) if request.method == "OPTIONS" else None

    @app.after_request
    def finish(response: Response) -> Response:
        outcomes[g.get("probe", False)][outcome_of(response.status_code)].add()
        _allow_origin(response, config)
        # The path only: a query may hold a token. Upgrades come by the thousand and are counted, not logged.
        (log.debug if response.status_code == 101 else log.info)(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            ms=round((time.perf_counter() - g.started) * 1000, 2),
        )
        return response

    @app.errorhandler(AppError)
    def app_error(error: AppError) -> Response:
        return _error(error.code, error.message, error.http_status, error.details)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        if isinstance(error, RequestEntityTooLarge):
            return _error("too_large", f"a body may have at most {request.max_content_length} bytes", 413)
        code = (error.name or "error").lower().replace(" ", "_")
        response = _error(code, error.description or error.name, error.code or 500)
        if isinstance(error, MethodNotAllowed):  # RFC 9110, section 15.5.6
            response.allow.update(error.valid_methods or ())
        return response

    @app.errorhandler(Exception)
    def unexpected(_: Exception) -> Response:
        log.exception("request failed")
        return _error("internal", "something went wrong here; it was logged", 500)


def _error(code: str, message: str, status: int, details: list[dict[str, Any]] | None = None) -> Response:
    return answer({"code": code, "message": message, "details": details or []}, status)


def _allow_origin(response: Response, config: Config) -> None:
    origin = request.headers.get("Origin")
    if not origin or origin in (f"http://{request.host}", f"https://{request.host}"):
        return
    response.vary.add("Origin")
    if origin in config.cors_origin or "*" in config.cors_origin:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = "600"
