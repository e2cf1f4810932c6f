"""People, devices, conversations and tokens in bulk, for load tools.

Everything is made inside the database by a few set-based statements; nobody gets a password
(they cannot sign in, only use their token), so no argon2 is spent.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psycopg2

from app.config import Config
from app.domain.ids import DeviceId, UserId
from app.files import create_private
from app.services.tokens import Tokens
from app.store.db import translate
from app.store.queries import Queries

_rows = Queries("seeding").rows


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to make. Conversation k has `size` neighbours on a ring of devices as members."""

    devices: int
    conversations_each: int
    size: int
    token_ttl_s: int


def seed(config: Config, plan: Plan, tokens_file: Path) -> int:
    """Make what `plan` says and write one JSON line a device to `tokens_file` (new, mode 600).

    A line is {"user", "device", "conversations": […], "token"}. Returns the number of
    conversations. Raises ConfigError when the file exists, AppError for the database's part.
    """
    with create_private(tokens_file) as file:
        try:
            return _seed(config, plan, file)
        except psycopg2.Error as error:
            tokens_file.unlink()
            raise translate(error) from error


def _seed(config: Config, plan: Plan, file: TextIO) -> int:
    conn = psycopg2.connect(config.database_url, application_name="messenger seed")
    try:
        with conn:
            prefix = f"load-{time.time_ns()}-{os.getpid()}"
            people = _rows(conn, "people", prefix=prefix, count=plan.devices)
            users, devices = [row[0] for row in people], [row[1] for row in people]
            size = min(plan.size, plan.devices)
            total = max(1, plan.devices * plan.conversations_each // size)
            rows = _rows(
                conn,
                "conversations",
                users=users,
                devices=devices,
                count=len(users),
                total=total,
                size=size,
                now=time.time(),
            )
            _rows(conn, "analyze")
    finally:
        conn.close()
    of_user: dict[int, list[int]] = {}
    for conv, user in rows:
        of_user.setdefault(user, []).append(conv)
    tokens = Tokens(config.jwt_secret, config.access_token_ttl_s)
    now = time.time()
    for user, device in zip(users, devices, strict=True):
        token = tokens.mint(UserId(user), DeviceId(device), now, plan.token_ttl_s)
        line = {"user": user, "device": device, "conversations": of_user.get(user, []), "token": token}
        file.write(json.dumps(line) + "\n")
    return total
