"""For operators: a word to every connection, and the fault switches of development."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta

from app.config import Config
from app.errors import NotFound
from app.http.base import answer, body, require_admin
from app.http.contract import operation


class Announcement(msgspec.Struct, forbid_unknown_fields=True):
    """Body of broadcast."""

    body: Annotated[str, Meta(min_length=1, max_length=4096)] = "test broadcast"


class Announced(msgspec.Struct):
    """The word's id, and how many connections this node has."""

    id: str
    node: str
    connections_here: int


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """Body of faults: how much later frames leave, or that none leaves; whether sends or handshakes are refused; of how
    many sends one is acknowledged and lost (0: none is).
    """

    fanout_delay_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    fanout_stall: bool = False
    refuse_sends: bool = False
    refuse_connects: bool = False
    drop_every: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


def blueprint(
    config: Config,
    broadcast_to_all: Callable[[str], tuple[str, int]],
    switch_faults: Callable[[int, bool, bool, bool, int], None],
) -> Blueprint:
    """`/test/…`; every route needs ADMIN_TOKEN.

    `broadcast_to_all(body)` returns the word's id and the connections of this node;
    `switch_faults(delay_ms, stall, refuse_sends, refuse_connects, drop_every)` raises NotFound where the switches do
    not exist.
    """
    bp = Blueprint("admin", __name__, url_prefix="/test")

    @bp.before_request
    def admins_only() -> None:
        require_admin(config)

    @bp.post("/broadcast")
    @operation(who="admin", takes=Announcement, gives=Announced, needs_body=False)
    def broadcast() -> Response:
        """A word to every connection of every node."""
        form = body(Announcement) if request.content_length else Announcement()
        word, here = broadcast_to_all(form.body)
        return answer(Announced(word, config.node_id, here))

    @bp.post("/faults")
    @operation(who="admin", takes=Switches, gives=Switches, errors=(NotFound,))
    def set_faults() -> Response:
        """Slow or stop fan-out, refuse sends or handshakes, lose sends, on this node; in development only."""
        form = body(Switches)
        switch_faults(form.fanout_delay_ms, form.fanout_stall, form.refuse_sends, form.refuse_connects, form.drop_every)
        return answer(form)

    return bp
