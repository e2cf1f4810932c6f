"""Whether this node lives, and whether it should get connections."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from flask import Blueprint, Response

from app import __version__
from app.http.base import answer
from app.http.contract import operation

Check = Callable[[], str | None]
"""Returns None when well, else what is wrong, in words."""


class Alive(msgspec.Struct):
    """Who answers."""

    status: str
    node: str
    version: str


class Readiness(msgspec.Struct):
    """`ready`, `degraded` or `down`, and why in words."""

    status: str
    node: str
    problems: dict[str, str]


def blueprint(node: str, needed: dict[str, Check], helpful: dict[str, Check]) -> Blueprint:
    """`/health` and `/health/ready`.

    A failed `needed` check means 503: no new connections, please. A failed `helpful` one means
    `degraded` with 200: the node serves on, and a balancer must not drop every node at once
    because they all lost the same Redis.
    """
    bp = Blueprint("health", __name__, url_prefix="/health")

    @bp.get("")
    @operation(who="anybody", gives=Alive)
    def live() -> Response:
        """This node lives."""
        return answer(Alive("ok", node, __version__))

    @bp.get("/ready")
    @operation(who="anybody", gives=Readiness, more={503: "Not ready: no connections, please."})
    def ready() -> Response:
        """Whether this node should get connections."""
        failed = {name: problem for name, check in needed.items() if (problem := check())}
        weak = {name: problem for name, check in helpful.items() if (problem := check())}
        status = "down" if failed else "degraded" if weak else "ready"
        return answer(Readiness(status, node, failed | weak), 503 if failed else 200)

    return bp
