"""The OpenAPI document, for clients and tools."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app

from app.http.base import answer
from app.http.contract import document, operation


def blueprint() -> Blueprint:
    """`/api/openapi.json`; made from the routes when it is asked for."""
    bp = Blueprint("openapi", __name__)

    @bp.get("/api/openapi.json")
    @operation(who="anybody", gives=dict[str, Any])
    def openapi() -> Response:
        """This document."""
        return answer(document(current_app))

    return bp
