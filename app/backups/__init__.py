"""Backups of the database, and bringing one back: pg_dump and pg_restore, and what they do not know of a messenger."""
