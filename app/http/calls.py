"""What a device needs for a call besides the socket: credentials for the relay."""

from __future__ import annotations

import time

from flask import Blueprint, Response

from app.config import Config
from app.http.base import answer, caller
from app.http.contract import operation
from app.services.accounts import Accounts
from app.services.calls import TurnCredentials, turn_credentials


def blueprint(accounts: Accounts, config: Config) -> Blueprint:
    """`/api/calls/…`"""
    bp = Blueprint("calls", __name__, url_prefix="/api/calls")

    @bp.get("/turn")
    @operation(gives=TurnCredentials)
    def turn() -> Response:
        """Credentials for the TURN servers; no `uris` where none is configured: calls connect directly, or not."""
        user = caller(accounts).user
        if not config.turn_secret or not config.turn_uris:
            return answer(TurnCredentials("", "", 0, []))
        response = answer(turn_credentials(config.turn_secret, config.turn_uris, user, time.time(), config.turn_ttl_s))
        response.headers["Cache-Control"] = "no-store"
        return response

    return bp
