"""Redis: memory, clients, commands, and the channels between nodes."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.boards.model import Board, Panel, Query, Row
from monitoring.boards.parts import NODES, ONE, lines, number, red_from, up, used, variables
from monitoring.signals import redis as signals
from monitoring.spec.model import Slo

UID = "infra-redis"
_BOOK = "infrastructure"


def board(_slos: Sequence[Slo]) -> Board:
    """The board of every Redis that is scraped as one of its job."""
    return Board(
        uid=UID,
        title="Redis",
        description="Whether Redis has room, what it is asked, and how long that takes.",
        tags=("infrastructure",),
        variables=variables(signals.UP.name, signals.JOB),
        rows=(
            Row(5, (_up(), _clients_used(), _channels(), _refused()), (6, 6, 6, 6), title="Now"),
            Row(8, (_commands(), _time()), (12, 12), title="Commands"),
            Row(8, (_memory(), _keys(), _network()), (8, 8, 8), title="Memory and network"),
            Row(7, (_gone(), _clients(), _errors()), (8, 8, 8), title="Trouble"),
        ),
    )


def _up() -> Panel:
    text = "Whether the exporter reaches Redis. Without it messages cross nodes by the log, a fifth of a second later."
    return up("redis/up", text, signals.UP.max(NODES, ("instance",)), books=("bus-disconnected",))


def _clients_used() -> Panel:
    share = f"{signals.CLIENTS.max(NODES, ('instance',))} / {signals.MAX_CLIENTS.max(NODES, ('instance',))}"
    text = "Clients connected, of maxclients. Further ones are refused."
    return used("redis/clients-used", "Clients, of those allowed", text, Query(share, "{{instance}}"), books=(_BOOK,))


def _channels() -> Panel:
    text = "Channels with a listener: one a shard of the bus. None while nodes run: they do not hear each other."
    query = Query(signals.CHANNELS.sum(NODES), "channels")
    return number("redis/channels", "Channels", text, "short", query, books=("bus-disconnected",))


def _refused() -> Panel:
    text = "Connections refused at the limit of clients."
    query = Query(signals.REJECTED.rate(NODES), "refused")
    return number("redis/refused", "Refused a second", text, "ops", query, steps=red_from(ONE), books=(_BOOK,))


def _commands() -> Panel:
    return lines(
        "redis/commands",
        "Commands",
        "By name, a second.",
        "ops",
        Query(signals.COMMANDS.rate(NODES, ("cmd",)), "{{cmd}}"),
        books=(_BOOK,),
    )


def _time() -> Panel:
    mean = f"{signals.COMMAND_TIME.rate(NODES, ('cmd',))} / ({signals.COMMANDS.rate(NODES, ('cmd',))} > 0)"
    return lines(
        "redis/time",
        "Mean time of a command",
        "Time inside Redis, without the network. One slow command holds up all others.",
        "s",
        Query(mean, "{{cmd}}"),
        books=(_BOOK, "bus-losses"),
    )


def _memory() -> Panel:
    return lines(
        "redis/memory",
        "Memory",
        "In use, and as the system counts it; far apart is fragmentation.",
        "bytes",
        Query(signals.MEMORY.sum(NODES, ("instance",)), "used {{instance}}"),
        Query(signals.RESIDENT.sum(NODES, ("instance",)), "resident {{instance}}"),
        books=(_BOOK,),
    )


def _keys() -> Panel:
    return lines(
        "redis/keys",
        "Keys",
        "Nothing here is lost for good when it is lost: all of it can be rebuilt.",
        "short",
        Query(signals.KEYS.sum(NODES, ("db",)), "{{db}}"),
        books=(_BOOK,),
    )


def _network() -> Panel:
    return lines(
        "redis/network",
        "Network",
        "What nodes publish comes in once and goes out to every other node.",
        "Bps",
        Query(signals.RECEIVED.rate(NODES), "received"),
        Query(signals.SENT.rate(NODES), "sent"),
        books=(_BOOK,),
    )


def _gone() -> Panel:
    return lines(
        "redis/gone",
        "Keys expired and evicted",
        "Evicted keys were thrown out for lack of memory.",
        "ops",
        Query(signals.EXPIRED.rate(NODES), "expired"),
        Query(signals.EVICTED.rate(NODES), "evicted"),
        books=(_BOOK,),
    )


def _clients() -> Panel:
    return lines(
        "redis/clients",
        "Clients",
        "Connected, and those that wait in a blocking command.",
        "short",
        Query(signals.CLIENTS.sum(NODES), "connected"),
        Query(signals.BLOCKED.sum(NODES), "blocked"),
        books=(_BOOK,),
    )


def _errors() -> Panel:
    return lines(
        "redis/slow",
        "Slow log",
        "Commands longer than slowlog-log-slower-than that are still in the log; `SLOWLOG GET` shows them.",
        "short",
        Query(signals.SLOW_LOG.max(NODES, ("instance",)), "{{instance}}"),
        books=(_BOOK,),
    )
