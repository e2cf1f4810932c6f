"""How old the last backup is, as the database remembers it: each node tells, so that a backup that stops is noticed."""

from __future__ import annotations

from app.metrics import Gauge
from app.store import backups
from app.store.db import Database


class LastBackup:
    """Asked once a minute."""

    def __init__(self, db: Database, gauge: Gauge) -> None:
        """`gauge` is 0 as long as none was ever taken."""
        self._db, self._gauge = db, gauge

    def look(self) -> None:
        """Ask the database. Raises AppError."""
        with self._db.transaction() as conn:
            self._gauge.set(backups.last(conn) or 0.0)
