"""The OpenAPI document says what the routes do: read off the code of each view, without a server."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from openapi_spec_validator import validate

from app import config, errors
from app.cli import main
from app.factory import create_node
from app.http import contract
from app.http.contract import Operation, document, operation, operations
from tests.support.repository import ROOT

PROTOCOL = (ROOT / "docs/protocol.md").read_text()
APP = create_node(config.load({"DATABASE_URL": "postgresql:///nowhere"})).app
DOCUMENT = document(APP)
ROUTES = [
    pytest.param(view, promised, id=f"{method} {rule.rule}")
    for rule, method, view, promised in operations(APP)
    if promised is not None
]


def responses() -> Iterator[tuple[str, dict[str, Any]]]:
    for item in DOCUMENT["paths"].values():
        for described in item.values():
            yield from described["responses"].items()


def names(view: Any) -> set[str]:
    """What a view speaks of: its globals, attributes and what it closes over."""
    return {*view.__code__.co_names, *view.__code__.co_freevars}


def test_every_route_says_what_it_promises() -> None:
    assert [(rule.rule, method) for rule, method, _, promised in operations(APP) if promised is None] == []
    described = {re.sub(r"\{\w+\}", "{}", path) for path in DOCUMENT["paths"]}
    for rule in APP.url_map.iter_rules():
        assert re.sub(r"<[^<>]*?(\([^()]*\))?:?\w+>", "{}", rule.rule) in described


def test_the_document_is_valid_openapi() -> None:
    validate(json.loads(json.dumps(DOCUMENT)))


def test_the_protocol_document_has_every_route() -> None:
    for rule, _, _, _ in operations(APP):
        steady = re.split(r"[<]", rule.rule)[0].rstrip("/")
        assert steady in PROTOCOL, f"docs/protocol.md does not name {rule.rule}"


@pytest.mark.parametrize(("view", "promised"), ROUTES)
def test_a_view_reads_the_body_and_the_caller_it_promises(view: Any, promised: Operation) -> None:
    spoken = names(view)
    if promised.takes is None:
        assert not {"body", "_read_body"} & spoken
    elif promised.takes is not bytes:
        assert {"body", promised.takes.__name__} <= spoken
    else:
        assert "_read_body" in spoken
    if promised.who == "bearer":
        assert "caller" in spoken
    elif "caller" in spoken:  # with a token it is one more way in
        assert errors.Unauthenticated in promised.errors
    assert view.__doc__, "its summary"


def test_only_the_operators_routes_need_the_admin_token() -> None:
    for path, item in DOCUMENT["paths"].items():
        for described in item.values():
            assert (described.get("security") == [{"admin": []}]) == path.startswith("/test/")


def test_every_code_belongs_to_its_status() -> None:
    """Two classes may share a status, but a client tells them apart by a code that no other status has."""
    known = {(str(e.http_status), e.code) for e in vars(errors).values() if isinstance(e, type)
             and issubclass(e, errors.AppError)}  # fmt: skip
    for status, told in responses():
        schema = told.get("content", {}).get("application/json", {}).get("schema", {})
        for code in schema.get("properties", {}).get("code", {}).get("enum", []):
            assert (status, code) in known


def test_an_unready_node_answers_with_what_is_wrong_and_no_error() -> None:
    told = DOCUMENT["paths"]["/health/ready"]["get"]["responses"]
    assert told["503"]["content"] == told["200"]["content"]


def test_patterns_are_those_of_json_schema() -> None:
    """In ECMA-262 `\\Z` is the letter Z: no client could satisfy it."""
    assert "\\\\Z" not in json.dumps(DOCUMENT)
    assert DOCUMENT["components"]["schemas"]["Credentials"]["properties"]["name"]["pattern"].endswith("$")


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(contract)
    assert (result.failed, result.attempted) == (0, 1)


def test_sockets_are_described_by_their_handshake() -> None:
    for path in ("/ws", "/calls"):
        assert set(DOCUMENT["paths"][path]["get"]["responses"]) == {"101", "400", "401", "403", "426", "503"}


def test_a_parameter_of_the_query_may_be_left_out() -> None:
    app = Flask("query")

    @app.get("/rows")
    @operation(who="anybody", query={"from": int}, optional={"size": int})
    def rows() -> str:
        """Rows."""
        return ""

    made = document(app)["paths"]["/rows"]["get"]
    assert [(p["name"], p["required"]) for p in made["parameters"]] == [("from", True), ("size", False)]
    assert "400" in made["responses"]


def test_the_command_prints_the_document() -> None:
    result = CliRunner().invoke(main, ["openapi"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == json.loads(json.dumps(DOCUMENT))
