"""PostgreSQL as Debian's exporter (0.11) tells of it."""

from __future__ import annotations

from monitoring.signals.kinds import Counter, Gauge

JOB = "postgres"

_DATABASE = {"datname": ()}

UP = Gauge("pg_up", "1 while the exporter reaches the database")
SESSIONS = Gauge("pg_stat_activity_count", "Sessions by state", labels={"datname": (), "state": ()})
LONGEST = Gauge("pg_stat_activity_max_tx_duration", "Age of the oldest transaction", "s", {"datname": (), "state": ()})
MAX_CONNECTIONS = Gauge("pg_settings_max_connections", "Connections the server allows")
COMMITS = Counter("pg_stat_database_xact_commit", "Transactions committed", labels=_DATABASE)
ROLLBACKS = Counter("pg_stat_database_xact_rollback", "Transactions rolled back", labels=_DATABASE)
BLOCKS_HIT = Counter("pg_stat_database_blks_hit", "Blocks found in memory", labels=_DATABASE)
BLOCKS_READ = Counter("pg_stat_database_blks_read", "Blocks read from disk", labels=_DATABASE)
INSERTED = Counter("pg_stat_database_tup_inserted", "Rows inserted", labels=_DATABASE)
UPDATED = Counter("pg_stat_database_tup_updated", "Rows updated", labels=_DATABASE)
DELETED = Counter("pg_stat_database_tup_deleted", "Rows deleted", labels=_DATABASE)
FETCHED = Counter("pg_stat_database_tup_fetched", "Rows found by index", labels=_DATABASE)
DEADLOCKS = Counter("pg_stat_database_deadlocks", "Deadlocks", labels=_DATABASE)
CONFLICTS = Counter("pg_stat_database_conflicts", "Queries cancelled by recovery", labels=_DATABASE)
LOCKS = Gauge("pg_locks_count", "Locks held or awaited", labels={"datname": (), "mode": ()})
SIZE = Gauge("pg_database_size_bytes", "Size on disk", "bytes", _DATABASE)
