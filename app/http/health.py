"""Whether this node lives, and whether it should get connections."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from app import __version__
from app.http.base import answer

Check = Callable[[], str | None]
"""Returns None when well, else what is wrong, in words."""


def blueprint(node: str, needed: dict[str, Check], helpful: dict[str, Check]) -> Blueprint:
    """`/health` and `/health/ready`.

    A failed `needed` check means 503: no new connections, please. A failed `helpful` one means
    `degraded` with 200: the node serves on, and a balancer must not drop every node at once
    because they all lost the same Redis.
    """
    bp = Blueprint("health", __name__, url_prefix="/health")

    @bp.get("")
    def live() -> Response:
        return answer({"status": "ok", "node": node, "version": __version__})

    @bp.get("/ready")
    def ready() -> Response:
        failed = {name: problem for name, check in needed.items() if (problem := check())}
        weak = {name: problem for name, check in helpful.items() if (problem := check())}
        status = "down" if failed else "degraded" if weak else "ready"
        return answer({"status": status, "node": node, "problems": failed | weak}, 503 if failed else 200)

    return bp
