"""PostgreSQL: connections, transactions, memory, locks, size."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring.boards.model import Board, Panel, Query, Row, Step
from monitoring.boards.parts import NODES, ONE, lines, number, red_from, up, used, variables
from monitoring.signals import postgres as signals
from monitoring.spec.model import Slo

UID = "infra-postgres"
_BOOK = "infrastructure"


def board(_slos: Sequence[Slo]) -> Board:
    """The board of every PostgreSQL that is scraped as one of its job."""
    return Board(
        uid=UID,
        title="PostgreSQL",
        description="Whether the database has room, answers from memory, and nobody blocks the others.",
        tags=("infrastructure",),
        variables=variables(signals.UP.name, signals.JOB),
        rows=(
            Row(5, (_up(), _connections(), _hits(), _longest()), (6, 6, 6, 6), title="Now"),
            Row(8, (_transactions(), _sessions()), (12, 12), title="Work"),
            Row(8, (_rows(), _cache()), (12, 12)),
            Row(7, (_locks(), _trouble(), _size()), (8, 8, 8), title="Trouble and size"),
        ),
    )


def _up() -> Panel:
    text = "Whether the exporter reaches the database. Without it nothing can be committed."
    return up("postgres/up", text, signals.UP.max(NODES, ("instance",)), books=("database-disconnected",))


def _connections() -> Panel:
    share = f"{signals.SESSIONS.sum(NODES, ('instance',))} / {signals.MAX_CONNECTIONS.max(NODES, ('instance',))}"
    return used(
        "postgres/connections",
        "Connections used",
        "Sessions, of those max_connections allows. At the end the next node cannot start: lower the pools, or raise "
        "the limit.",
        Query(share, "{{instance}}"),
        books=(_BOOK, "database-pool-exhausted"),
    )


def _hits() -> Panel:
    hit, read = signals.BLOCKS_HIT.rate(NODES), signals.BLOCKS_READ.rate(NODES)
    return number(
        "postgres/hits",
        "Found in memory",
        "Blocks that were in shared buffers, of all that were wanted. Below 99 % for long: more memory, or a query "
        "that reads a whole table.",
        "percentunit",
        Query(f"{hit} / ({hit} + {read} > 0)", "hit"),
        steps=(Step("red"), Step("orange", Decimal("0.9")), Step("green", Decimal("0.99"))),
        books=(_BOOK,),
    )


def _longest() -> Panel:
    return number(
        "postgres/longest",
        "Oldest transaction",
        "Somebody who forgot a transaction holds its locks and keeps old rows from being cleaned up.",
        "s",
        Query(signals.LONGEST.max(NODES), "oldest"),
        steps=(Step("green"), Step("orange", Decimal(60)), Step("red", Decimal(300))),
        books=(_BOOK,),
    )


def _transactions() -> Panel:
    return lines(
        "postgres/transactions",
        "Transactions",
        "Committed and rolled back. Rollbacks that rise with errors are conflicts or a client that gives up.",
        "ops",
        Query(signals.COMMITS.rate(NODES), "committed"),
        Query(signals.ROLLBACKS.rate(NODES), "rolled back"),
        books=(_BOOK,),
    )


def _sessions() -> Panel:
    return lines(
        "postgres/sessions",
        "Sessions by state",
        "active works; idle waits for its client; idle in transaction holds locks while it does nothing.",
        "short",
        Query(signals.SESSIONS.sum(NODES, ("state",)), "{{state}}"),
        stacked=True,
        books=(_BOOK,),
    )


def _rows() -> Panel:
    return lines(
        "postgres/rows",
        "Rows",
        "Rows written, and rows found by index.",
        "ops",
        Query(signals.INSERTED.rate(NODES), "inserted"),
        Query(signals.UPDATED.rate(NODES), "updated"),
        Query(signals.DELETED.rate(NODES), "deleted"),
        Query(signals.FETCHED.rate(NODES), "fetched"),
        books=(_BOOK,),
    )


def _cache() -> Panel:
    return lines(
        "postgres/cache",
        "Blocks from disk",
        "Blocks that were not in shared buffers; the system may still have had them in memory.",
        "ops",
        Query(signals.BLOCKS_READ.rate(NODES, ("datname",)), "{{datname}}"),
        books=(_BOOK,),
    )


def _locks() -> Panel:
    return lines(
        "postgres/locks",
        "Locks",
        "Held or awaited, by mode. accessexclusive is a migration; everybody else waits for it.",
        "short",
        Query(signals.LOCKS.sum(NODES, ("mode",)), "{{mode}}"),
        books=(_BOOK,),
    )


def _trouble() -> Panel:
    return lines(
        "postgres/trouble",
        "Deadlocks and conflicts",
        "Transactions that were ended because they waited for each other, or for recovery. Zero is usual.",
        "ops",
        Query(signals.DEADLOCKS.rate(NODES), "deadlocks"),
        Query(signals.CONFLICTS.rate(NODES), "conflicts"),
        steps=red_from(ONE),
        books=(_BOOK,),
    )


def _size() -> Panel:
    return lines(
        "postgres/size",
        "Size",
        "Each database on disk. One row a message: it grows with what is said.",
        "bytes",
        Query(signals.SIZE.sum(NODES, ("datname",)), "{{datname}}"),
        books=(_BOOK,),
    )
