"""Looking into the database, past the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2


def rows(url: str, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """What the query finds, over a connection of its own."""
    conn = psycopg2.connect(url)
    try:
        with conn.cursor() as cursor:
            cursor.execute(query, parameters or None)  # with none a % is a %
            return cursor.fetchall()
    finally:
        conn.close()


def execute(url: str, statement: str) -> None:
    """One statement outside any transaction, over a connection of its own."""
    conn = psycopg2.connect(url)
    conn.autocommit = True
    try:
        with conn.cursor() as cursor:
            cursor.execute(statement)
    finally:
        conn.close()
