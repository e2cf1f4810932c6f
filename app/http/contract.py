"""What the HTTP API promises, as an OpenAPI document made from the routes themselves.

`operation` stands under a route and says what its view takes and gives; nothing is said twice, since bodies are decoded
by the same types. `document` puts all of it together. Source: OpenAPI specification 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec
from flask import Flask
from werkzeug.routing import Rule

from app import __version__
from app.errors import (
    AppError,
    DeviceRevoked,
    InvalidRequest,
    TokenExpired,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

View = TypeVar("View", bound=Callable[..., Any])
Who = Literal["anybody", "bearer", "admin"]
BINARY = "application/octet-stream"
JSON = "application/json"
MAX_ID = 2**53 - 1
SOCKET = "websocket "
"""How the endpoints of sockets begin (`realtime/upgrade`)."""
ID_PATTERN = "[1-9][0-9]{0,15}"
"""Of a path; some that match are no ids, but all fit the database's integers."""
_SKIPPED_METHODS = ("HEAD", "OPTIONS")


_HANDSHAKE = {
    "101": "From here on the socket's protocol is spoken; docs/protocol.md.",
    "400": "The handshake is not right, in words.",
    "403": "The origin is not in CORS_ORIGIN.",
    "426": "It is no WebSocket of version 13.",
}
"""How an address of a socket answers, beside the errors of `?token=` and Unavailable."""


class Problem(msgspec.Struct):
    """Every answer that is no success. `details` name fields: rows of field and problem."""

    code: str
    message: str
    details: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route promises; see `operation`."""

    who: Who
    takes: Any
    gives: Any
    status: int
    errors: Sequence[type[AppError]]
    query: Mapping[str, Any]
    optional: Mapping[str, Any]
    media_type: str
    more: Mapping[int, str]
    needs_body: bool


def operation(
    *,
    who: Who = "bearer",
    takes: Any = None,
    gives: Any = None,
    status: int = 200,
    errors: Sequence[type[AppError]] = (),
    query: Mapping[str, Any] | None = None,
    optional: Mapping[str, Any] | None = None,
    media_type: str = BINARY,
    more: Mapping[int, str] | None = None,
    needs_body: bool = True,
) -> Callable[[View], View]:
    """Says what a view promises.

    `takes` is the type of its body, or bytes; `gives` that of its answer, or bytes of `media_type`, or nothing.
    `errors` are those beyond what `who`, `takes` and `query` imply. `query` maps parameters of the query to types,
    `optional` those that may be left out; `more` other statuses with the same content to what they mean. A view that
    does without a body has `needs_body` False.
    """

    def mark(view: View) -> View:
        made = Operation(
            who, takes, gives, status, errors, query or {}, optional or {}, media_type, more or {}, needs_body
        )
        view.operation = made  # type: ignore[attr-defined]
        return view

    return mark


def operations(app: Flask) -> Iterator[tuple[Rule, str, Callable[..., Any], Operation | None]]:
    """Every route of the API with its method, its view, and what it promises (None: nothing)."""
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith(SOCKET):
            view = app.view_functions[rule.endpoint]
            for method in sorted((rule.methods or set()) - set(_SKIPPED_METHODS)):
                yield rule, method, view, getattr(view, "operation", None)


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of all routes that promise something, and of the sockets' handshakes."""
    promised = [(rule, method, view, made) for rule, method, view, made in operations(app) if made is not None]
    types: list[Any] = [Problem]
    for _, _, _, made in promised:
        named = (made.takes, made.gives, *made.query.values(), *made.optional.values())
        types += [t for t in named if t not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = {repr(t): schema for t, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, view, made in promised:
        path = re.sub(r"<(?:[^<>:]*:)?(\w+)>", r"{\1}", re.sub(r"\([^()]*\)", "", rule.rule))
        paths.setdefault(path, {})[method.lower()] = _described(rule, method, view, made, schema_of)
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(SOCKET) and rule.websocket:
            paths[rule.rule] = {"get": _handshake(rule.rule, schema_of)}
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Messenger",
            "version": __version__,
            "description": "What a socket says is in docs/protocol.md.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token of a device."},
                "admin": {"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN."},
            },
        },
    }
    described: dict[str, Any] = _with_ecma_patterns(whole)
    return described


def _with_ecma_patterns(node: Any) -> Any:
    r"""Patterns as JSON Schema has them: ECMA-262 has no `\Z`, and its `$` lets no newline pass.

    >>> _with_ecma_patterns({"pattern": r"^[0-9]+\Z", "minLength": 1})
    {'pattern': '^[0-9]+$', 'minLength': 1}
    """
    if isinstance(node, Mapping):
        return {
            key: re.sub(r"\\Z$", "$", value)
            if key == "pattern" and isinstance(value, str)
            else _with_ecma_patterns(value)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [_with_ecma_patterns(value) for value in node]
    return node


def _handshake(path: str, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    said = {status: {"description": meaning} for status, meaning in _HANDSHAKE.items()}
    in_words = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    token = {"name": "token", "in": "query", "required": False, "schema": {"type": "string"}}
    return {
        "operationId": f"socket{path.replace('/', '.')}.get",
        "tags": ["socket"],
        "summary": "The WebSocket: an opening handshake (RFC 6455).",
        "parameters": [token | {"description": "Of `POST /auth/ws-token`; without it the first frame is `hello`."}],
        "responses": {status: told | ({} if status == "101" else in_words) for status, told in said.items()}
        | _refusals([Unauthenticated, TokenExpired, Unavailable], schema_of),
    }


def _described(
    rule: Rule, method: str, view: Callable[..., Any], made: Operation, schema_of: Mapping[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{rule.endpoint}.{method.lower()}",
        "tags": [rule.endpoint.partition(".")[0]],
        "summary": (view.__doc__ or view.__name__.replace("_", " ")).strip(),
        "parameters": [*_path_parameters(rule), *_query_parameters(made, schema_of)],
        "responses": _responses(made, schema_of),
    }
    if made.who != "anybody":
        described["security"] = [{made.who: []}]
    if made.takes is not None:
        kind = BINARY if made.takes is bytes else JSON
        schema = {} if made.takes is bytes else schema_of[repr(made.takes)]
        described["requestBody"] = {"required": made.needs_body, "content": {kind: {"schema": schema}}}
    return described


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for name in sorted(rule.arguments):
        converter = rule._converters[name]
        if converter.regex == ID_PATTERN:
            schema: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
        else:
            schema = {"type": "string", "pattern": f"^{converter.regex}$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(made: Operation, schema_of: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, kind in {**made.query, **made.optional}.items():
        yield {"name": name, "in": "query", "required": name in made.query, "schema": schema_of[repr(kind)]}


def _responses(made: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if made.gives is bytes:
        success["content"] = {made.media_type: {"schema": {}}}
    elif made.gives is not None:
        success["content"] = {JSON: {"schema": schema_of[repr(made.gives)]}}
    responses = {str(made.status): success}
    for status, meaning in made.more.items():
        responses[str(status)] = success | {"description": meaning}
    return responses | _refusals(_errors(made), schema_of)


def _refusals(errors: Sequence[type[AppError]], schema_of: Mapping[str, Any]) -> dict[str, Any]:
    """Answers by status, each with the codes it may have."""
    by_status: dict[int, list[type[AppError]]] = {}
    for error in dict.fromkeys(errors):
        by_status.setdefault(error.http_status, []).append(error)
    responses = {}
    for status, same in sorted(by_status.items()):
        meaning = " ".join(f"`{e.code}`: {(e.__doc__ or '').strip()}" for e in same)
        codes = {"properties": {"code": {"enum": [e.code for e in same]}}}
        schema = schema_of[repr(Problem)] | codes
        responses[str(status)] = {"description": meaning, "content": {JSON: {"schema": schema}}}
    return responses


def _errors(made: Operation) -> list[type[AppError]]:
    errors = list(made.errors)
    if made.who == "bearer":  # looked up in the database
        errors += [Unauthenticated, TokenExpired, DeviceRevoked, Unavailable]
    elif made.who == "admin":
        errors.append(Unauthenticated)
    if made.takes is not None:
        errors += [InvalidRequest, TooLarge]
    if made.query:
        errors.append(InvalidRequest)
    return errors
