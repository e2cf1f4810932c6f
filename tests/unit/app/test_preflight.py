"""What preflight makes of what it finds: fit, doubtful or not, each with its reason and its remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import config
from app.preflight.facts import Facts, Folder, Postgres
from app.preflight.findings import Plan, judge

GIB = 1024**3
NOW = 1_900_000_000.0
SETTINGS = config.load(
    {
        "APP_ENV": "production",
        "DATABASE_URL": "postgresql:///",
        "REDIS_URL": "redis://redis",
        "JWT_SECRET": "x" * 40,
        "CORS_ORIGIN": "https://chat.example.com",
        "CDN_URL": "https://cdn.example.com",
        "BACKUP_DIR": "/backups",
        "REVOCATIONS_DIR": "/revocations",
    }
)
WELL = Facts(
    postgres=Postgres(18, 100, 0.01, ()),
    redis="7.0.15",
    redis_problem=None,
    descriptors=20_000,
    kernel={"net/core/somaxconn": 4_096, "net/netfilter/nf_conntrack_max": 262_144},
    memory_available_bytes=8 * GIB,
    clock_synchronized=True,
    folders=(Folder("MEDIA_DIR", "/media", None, 50 * GIB, 100 * GIB),),
    last_backup_at=NOW - 3_600,
    certificate_ends_at=NOW + 60 * 86_400,
    now=NOW,
)
PLAN = Plan(18_500, 3)


def test_where_all_is_well_every_line_is_ok_and_asks_for_nothing() -> None:
    found = judge(SETTINGS, WELL, PLAN)
    assert {one.level for one in found} == {"ok"}
    assert not any(one.why or one.mend for one in found)
    assert len({one.name for one in found}) == len(found)


POSTGRES = Postgres(18, 100, 0.0, ())


@pytest.mark.parametrize(
    ("change", "name", "level"),
    [
        ({"postgres": "connection refused"}, "PostgreSQL", "fail"),
        ({"postgres": replace(POSTGRES, version=13)}, "PostgreSQL", "fail"),
        ({"postgres": replace(POSTGRES, max_connections=30)}, "max_connections", "fail"),
        ({"postgres": replace(POSTGRES, pending=("0008.backups",))}, "migrations", "fail"),
        ({"postgres": replace(POSTGRES, clock_ahead_s=-2.0)}, "clock", "warn"),
        ({"postgres": replace(POSTGRES, clock_ahead_s=6.0)}, "clock", "fail"),
        ({"redis": "6.2.1"}, "Redis", "fail"),
        ({"redis": None}, "Redis", "warn"),
        ({"redis": None, "redis_problem": "ConnectionError at redis"}, "Redis", "fail"),
        ({"descriptors": 19_499}, "descriptors", "fail"),
        ({"memory_available_bytes": GIB // 4}, "memory", "fail"),
        ({"kernel": {"net/core/somaxconn": 128}}, "somaxconn", "warn"),
        ({"kernel": {"net/netfilter/nf_conntrack_max": 30_000}}, "nf_conntrack_max", "fail"),
        ({"clock_synchronized": False}, "NTP", "warn"),
        ({"folders": (Folder("MEDIA_DIR", "/media", "No space left on device"),)}, "MEDIA_DIR", "fail"),
        ({"folders": (Folder("MEDIA_DIR", "/media", None, 5 * GIB, 100 * GIB),)}, "MEDIA_DIR", "warn"),
        ({"folders": (Folder("MEDIA_DIR", "/media", None, GIB // 2, GIB),)}, "MEDIA_DIR", "fail"),
        ({"last_backup_at": None}, "backup", "fail"),
        ({"last_backup_at": NOW - 27 * 3_600}, "backup", "fail"),
        ({"certificate_ends_at": NOW + 20 * 86_400}, "TLS", "warn"),
        ({"certificate_ends_at": NOW - 1}, "TLS", "fail"),
        ({"certificate_ends_at": "connection refused"}, "TLS", "fail"),
    ],
)
def test_each_fault_is_one_line_with_its_reason_and_its_remedy(
    change: dict[str, object], name: str, level: str
) -> None:
    bad = [one for one in judge(SETTINGS, replace(WELL, **change), PLAN) if one.level != "ok"]
    assert [(one.name, one.level) for one in bad] == [(name, level)]
    assert bad[0].why
    assert bad[0].mend


def test_settings_of_development_are_not_fit() -> None:
    weak = config.load({"DATABASE_URL": "postgresql:///", "CORS_ORIGIN": "*", "MAX_CONNECTIONS": "1000"})
    found = {one.name: one.level for one in judge(weak, WELL, PLAN) if one.level != "ok"}
    assert found == {
        "APP_ENV": "warn",
        "JWT_SECRET": "fail",
        "CORS_ORIGIN": "fail",
        "CDN_URL": "warn",
        "MAX_CONNECTIONS": "fail",
        "REVOCATIONS_DIR": "warn",
    }
