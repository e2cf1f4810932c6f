"""Claims that run at once, in any order, committed or not: no one-time key is ever given to two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import psycopg2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.ids import DeviceId, UserId
from app.store import accounts, keys
from app.store.keys import Key

ALGORITHM = "signed_curve25519"
STEPS = st.lists(st.tuples(st.sampled_from(["claim", "commit", "roll back"]), st.integers(0, 2)), max_size=24)


@given(STEPS, st.integers(0, 6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_claims_that_overlap_never_share_a_key(database_url: str, steps: Sequence[tuple[str, int]], count: int) -> None:
    """Three transactions at once, as on three nodes; one that is rolled back (a node that died) gives its keys back."""
    claimers = [psycopg2.connect(database_url) for _ in range(3)]
    try:
        device = _device_with_keys(database_url, count)
        held: list[list[str]] = [[], [], []]
        given_out: list[str] = []
        for step, which in steps:
            conn = claimers[which]
            if step == "claim":
                held[which] += [claimed.key.id for claimed in keys.claim(conn, [(device, ALGORITHM)])]
            elif step == "commit":
                conn.commit()
                given_out += held[which]
                held[which] = []
            else:
                conn.rollback()
                held[which] = []
        seen = given_out + [key for of_one in held for key in of_one]
        assert {key: n for key, n in Counter(seen).items() if n > 1} == {}
        for conn in claimers:
            conn.rollback()
        left = [c.key.id for c in iter(lambda: _next(claimers[0], device), None)]
        assert sorted([*given_out, *left]) == [f"{n:02}" for n in range(count)], (
            "none is lost, and the oldest come first"
        )
        assert left == sorted(left)
    finally:
        for conn in claimers:
            conn.close()


def _next(conn: psycopg2.extensions.connection, device: DeviceId) -> keys.Claimed | None:
    found = keys.claim(conn, [(device, ALGORITHM)])
    conn.commit()
    return found[0] if found else None


def _device_with_keys(url: str, count: int) -> DeviceId:
    conn = psycopg2.connect(url)
    with conn:
        with conn.cursor() as cursor:
            cursor.execute("INSERT INTO users (name, password_hash) VALUES (md5(random()::text), '') RETURNING id")
            user = UserId(cursor.fetchall()[0][0])
        device = accounts.create_device(conn, user, "WEB", "claimed of")
        keys.add_one_time_keys(conn, user, device, [Key(ALGORITHM, f"{n:02}", "{}") for n in range(count)])
    conn.close()
    return device
