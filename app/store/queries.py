"""Named SQL: each statement stands in `sql/<aggregate>.sql` under `-- name: …`.

Values are always parameters, never part of the text.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from app.store.db import Connection

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class Queries:
    """The statements of one aggregate: `Queries("accounts").rows(conn, "find_user", name="ada")`."""

    def __init__(self, aggregate: str) -> None:
        self._aggregate = aggregate
        text = files("app.store").joinpath("sql", f"{aggregate}.sql").read_text()
        parts = _NAME.split(text)[1:]
        self._statements = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))

    def rows(self, conn: Connection, name: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run the named statement; its rows, or none when it returns none."""
        try:
            statement = self._statements[name]
        except KeyError:
            raise LookupError(f"sql/{self._aggregate}.sql has no statement named {name}") from None
        with conn.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
