"""nginx, as far as stub_status tells: connections and how many requests; neither latency nor statuses."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.boards.model import Board, Panel, Query, Row
from monitoring.boards.parts import NODES, ONE, lines, number, red_from, up, variables
from monitoring.signals import nginx as signals
from monitoring.spec.model import Slo

UID = "infra-nginx"
_BOOK = "infrastructure"


def board(_slos: Sequence[Slo]) -> Board:
    """The board of every nginx that is scraped as one of its job."""
    return Board(
        uid=UID,
        title="nginx",
        description="What is before the nodes, as far as stub_status tells: neither latency nor statuses.",
        tags=("infrastructure",),
        variables=variables(signals.UP.name, signals.JOB),
        rows=(
            Row(5, (_up(), _active(), _rate(), _dropped_now()), (6, 6, 6, 6), title="Now"),
            Row(8, (_connections(), _requests()), (12, 12), title="Traffic"),
            Row(7, (_dropped(),), (24,), title="Trouble"),
        ),
    )


def _up() -> Panel:
    text = "Whether the exporter reaches nginx. Without it nobody who comes that way can connect."
    return up("nginx/up", text, signals.UP.max(NODES, ("instance",)), books=("connects",))


def _active() -> Panel:
    text = "Connections open now; a WebSocket has one to its client and one to its node."
    return number(
        "nginx/active", "Connections", text, "short", Query(signals.ACTIVE.sum(NODES), "open"), books=(_BOOK,)
    )


def _rate() -> Panel:
    text = "Requests a second; a WebSocket is one, however long it lives."
    return number(
        "nginx/rate", "Requests", text, "reqps", Query(signals.REQUESTS.rate(NODES), "requests"), books=(_BOOK,)
    )


def _lost() -> str:
    return f"clamp_min({signals.ACCEPTED.rate(NODES)} - {signals.HANDLED.rate(NODES)}, 0)"


def _dropped_now() -> Panel:
    text = "Connections accepted and not handled: the limit of worker_connections or of descriptors."
    query = Query(_lost(), "dropped")
    return number("nginx/dropped-now", "Dropped a second", text, "ops", query, steps=red_from(ONE), books=(_BOOK,))


def _connections() -> Panel:
    return lines(
        "nginx/connections",
        "Connections by what they do",
        "writing: answered, WebSockets among them. waiting: kept open without a request. reading: slow clients.",
        "short",
        Query(signals.WRITING.sum(NODES), "writing"),
        Query(signals.IDLE.sum(NODES), "waiting"),
        Query(signals.READING.sum(NODES), "reading"),
        stacked=True,
        books=(_BOOK,),
    )


def _requests() -> Panel:
    return lines(
        "nginx/requests",
        "Requests and new connections",
        "A second. Connections that rise without requests are handshakes that fail before they ask anything.",
        "ops",
        Query(signals.REQUESTS.rate(NODES), "requests"),
        Query(signals.ACCEPTED.rate(NODES), "connections"),
        books=("reconnect-storm",),
    )


def _dropped() -> Panel:
    return lines(
        "nginx/dropped",
        "Connections dropped",
        "Accepted and not handled; zero is usual.",
        "ops",
        Query(_lost(), "dropped"),
        books=(_BOOK, "connects"),
    )
