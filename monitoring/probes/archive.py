"""The ledger in PostgreSQL: what probers journalled, uploaded when the database is there, and counted from there.

A batch and the position up to which it reaches are written in one transaction, so nothing is counted twice and nothing
is left out, whenever prober or database die. Ends are counted as the objective of the probes counts them: good is what
was delivered in time, everything that ended or was odd is an event, and what the prober itself spoilt is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from monitoring.probes.journal import PROBERS_OWN, Entry, Position, read

BATCH = 5_000
CONNECT_TIMEOUT_S = 5
KEPT_DAYS = 400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS probe_positions (
    prober text PRIMARY KEY,
    file   bigint NOT NULL,
    position bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS probe_ends (
    prober    text NOT NULL,
    canary    uuid NOT NULL,
    at        timestamptz NOT NULL,
    outcome   text NOT NULL,
    latency_s double precision
);
CREATE INDEX IF NOT EXISTS probe_ends_at ON probe_ends USING brin (at);
"""
_LOCK = "INSERT INTO probe_positions VALUES (%s, 0, 0) ON CONFLICT (prober) DO NOTHING"
_POSITION = "SELECT file, position FROM probe_positions WHERE prober = %s FOR UPDATE"
_MOVE = "UPDATE probe_positions SET file = %s, position = %s WHERE prober = %s"
_PUT = "INSERT INTO probe_ends (prober, canary, at, outcome, latency_s) VALUES %s"
_FORGET = "DELETE FROM probe_ends WHERE at < now() - make_interval(days => %s)"
_COUNT = """
SELECT outcome, count(*) FROM probe_ends
WHERE at >= to_timestamp(%s) AND at < to_timestamp(%s) GROUP BY outcome ORDER BY outcome
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How canaries ended in a span of time."""

    by_outcome: dict[str, int]

    @property
    def total(self) -> int:
        """Everything that counts."""
        return sum(count for outcome, count in self.by_outcome.items() if outcome not in PROBERS_OWN)

    @property
    def good(self) -> int:
        """What was delivered in time."""
        return self.by_outcome.get("delivered", 0)


def upload(url: str, prober: str, folder: Path) -> int:
    """Bring what is new in a prober's journal to the database; how many ends that were. Raises psycopg2.Error."""
    put = 0
    with closing(psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT_S)) as conn:
        with conn, conn.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(7421)")  # two who make the tables at once would collide
            cursor.execute(_SCHEMA)
            cursor.execute(_LOCK, (prober,))
            cursor.execute(_FORGET, (KEPT_DAYS,))
        while (done := _upload_some(conn, prober, folder)) is not None:
            put += done
    return put


def _upload_some(conn: Any, prober: str, folder: Path) -> int | None:
    """How many ends a batch brought; None when there was nothing to read."""
    with conn, conn.cursor() as cursor:
        cursor.execute(_POSITION, (prober,))
        lines = list(islice(read(folder, Position(*cursor.fetchone())), BATCH))
        if not lines:
            return None
        ends = [(prober, one.id, one.at, one.outcome, one.latency_s) for one, _ in lines if one.kind != "sent"]
        if ends:
            execute_values(cursor, _PUT, ends, "(%s, %s, to_timestamp(%s), %s, %s)", page_size=1_000)
        cursor.execute(_MOVE, (lines[-1][1].file, lines[-1][1].offset, prober))
        return len(ends)


def count(url: str, start: float, end: float) -> Count:
    """What ended from `start` until before `end` (Unix seconds), of all probers. Raises psycopg2.Error."""
    with closing(psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT_S)) as conn, conn.cursor() as cursor:
        try:
            cursor.execute(_COUNT, (start, end))
        except psycopg2.errors.UndefinedTable:
            return Count({})  # no prober has uploaded anything yet
        return Count(dict(cursor.fetchall()))


def count_journal(entries: Iterable[Entry], start: float, end: float) -> Count:
    """The same from a journal, which needs no database."""
    found: dict[str, int] = {}
    for entry in entries:
        if entry.kind != "sent" and start <= entry.at < end:
            found[entry.outcome] = found.get(entry.outcome, 0) + 1
    return Count(dict(sorted(found.items())))
