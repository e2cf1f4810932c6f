"""What arrived, in a SQLite file of on-call's own: it must work when the messenger's database does not.

Alertmanager repeats itself and retries; an alert whose last word was the same (status and start) is
not written again. The last word and not any: an alert that was resolved and fires again with its
old start, as after a broken connection to Prometheus, is news. Write-ahead logging lets the page
read while a notification is written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from monitoring.oncall.webhook import Alert

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id          INTEGER PRIMARY KEY,
    received_at REAL NOT NULL,
    receiver    TEXT NOT NULL,
    status      TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at   TEXT NOT NULL,
    ends_at     TEXT NOT NULL,
    labels      TEXT NOT NULL,
    annotations TEXT NOT NULL
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS events_fingerprint ON events (fingerprint, receiver, id)"
_INSERT = """
INSERT INTO events (received_at, receiver, status, fingerprint, starts_at, ends_at, labels, annotations)
SELECT :received_at, :receiver, :status, :fingerprint, :starts_at, :ends_at, :labels, :annotations
WHERE (:status, :starts_at) IS NOT (
    SELECT status, starts_at FROM events WHERE fingerprint = :fingerprint AND receiver = :receiver
    ORDER BY id DESC LIMIT 1
)
"""
_LATEST = "SELECT received_at, receiver, status, starts_at, labels, annotations FROM events ORDER BY id DESC LIMIT ?"
_OPEN = """
SELECT count(*) FROM (
    SELECT status, row_number() OVER (PARTITION BY fingerprint ORDER BY id DESC) AS nth FROM events WHERE receiver != ?
) WHERE nth = 1 AND status = 'firing'
"""


def _row(receiver: str, alert: Alert, now: float) -> dict[str, object]:
    return {
        "received_at": now,
        "receiver": receiver,
        "status": alert.status,
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "labels": json.dumps(alert.labels, sort_keys=True),
        "annotations": json.dumps(alert.annotations, sort_keys=True),
    }


@dataclass(frozen=True, slots=True)
class Event:
    """An alert that began to fire or was resolved; `received_at` in Unix seconds."""

    received_at: float
    receiver: str
    status: str
    starts_at: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Store:
    """The file; a connection is opened for each use, which SQLite makes cheap."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connect() as conn:
            conn.execute("PRAGMA journal_mode = WAL")
            conn.execute(_SCHEMA)
            conn.execute(_INDEX)

    def add(self, receiver: str, alerts: Sequence[Alert], now: float) -> list[Alert]:
        """Keep the alerts of one notification, all or none; returns those that were news. Raises sqlite3.Error."""
        with self._connect() as conn:
            return [alert for alert in alerts if conn.execute(_INSERT, _row(receiver, alert, now)).rowcount]

    def latest(self, limit: int) -> list[Event]:
        """The newest events first. Raises sqlite3.Error."""
        with self._connect() as conn:
            rows = conn.execute(_LATEST, (limit,)).fetchall()
        return [
            Event(received_at, receiver, status, starts_at, json.loads(labels), json.loads(annotations))
            for received_at, receiver, status, starts_at, labels, annotations in rows
        ]

    def open_count(self, leave_out_receiver: str) -> int:
        """How many alerts are firing, by their last word. Raises sqlite3.Error."""
        with self._connect() as conn:
            count: int = conn.execute(_OPEN, (leave_out_receiver,)).fetchone()[0]
        return count

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=5.0)) as conn, conn:
            yield conn
