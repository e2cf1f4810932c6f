"""Configuration: all mistakes at once, each under its key; production forgives nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app import config
from app.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[3]
PRODUCTION = {
    "APP_ENV": "production",
    "DATABASE_URL": "postgresql://messenger:secret@db/messenger",
    "REDIS_URL": "rediss://cache:6379/0",
    "JWT_SECRET": "x" * 48,
    "CORS_ORIGIN": "https://chat.example.com",
}


def mistakes_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(environ)
    return caught.value.mistakes


def test_production_settings_are_read() -> None:
    loaded = config.load(PRODUCTION | {"TRUSTED_PROXIES": "10.0.0.0/24, 10.1.0.1/32"})
    assert loaded.production
    assert loaded.port == 3001
    assert loaded.metrics_port == 9090
    assert loaded.cors_origin == ("https://chat.example.com",)
    assert loaded.trusted_proxies == ("10.0.0.0/24", "10.1.0.1/32")


def test_development_needs_only_a_database() -> None:
    loaded = config.load({"DATABASE_URL": "postgresql:///x"})
    assert not loaded.production
    assert loaded.jwt_secret == config.DEVELOPMENT_JWT_SECRET
    assert mistakes_of({}) == ["DATABASE_URL: is not set; `make run` starts a database and sets it"]


def test_all_mistakes_are_reported_together_with_their_keys() -> None:
    found = mistakes_of(
        PRODUCTION | {"PORT": "eighty", "METRICS_PORT": "70000", "REDIS_URL": "http://x", "CORS_ORIGIN": "chat"}
    )
    assert [line.split(":")[0] for line in found] == ["REDIS_URL", "CORS_ORIGIN", "PORT", "METRICS_PORT"]


@pytest.mark.parametrize("url", ["redis+cluster://one:7000", "rediss+cluster://me:pw@one:7000,[::1]:7001/0"])
def test_a_cluster_is_told_by_its_scheme_and_has_more_shards(url: str) -> None:
    assert config.load(PRODUCTION).bus_shards == 1
    assert config.load(PRODUCTION | {"REDIS_URL": url}).bus_shards == config.CLUSTER_SHARDS
    assert config.load(PRODUCTION | {"REDIS_URL": url, "BUS_SHARDS": "5"}).bus_shards == 5


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://:hunter2@one",
        "redis+cluster://:hunter2@one:7000,two",
        "redis+cluster://:hunter2@one:7000,,two:7000",
        "redis+cluster://:hunter2@one:7000/1",
        "redis+cluster://",
        "redis+sentinel://:hunter2@one:7000",
    ],
)
def test_a_cluster_needs_addresses_with_ports_and_has_one_database(url: str) -> None:
    (mistake,) = mistakes_of(PRODUCTION | {"REDIS_URL": url})
    assert mistake.startswith("REDIS_URL: ")
    assert "hunter2" not in mistake


@pytest.mark.parametrize("key", ["DATABASE_URL", "REDIS_URL", "JWT_SECRET", "CORS_ORIGIN"])
def test_production_refuses_to_start_without(key: str) -> None:
    environ = {k: v for k, v in PRODUCTION.items() if k != key}
    assert mistakes_of(environ) == [f"{key}: must be set in production"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("JWT_SECRET", config.DEVELOPMENT_JWT_SECRET),
        ("JWT_SECRET", "short"),
        ("CORS_ORIGIN", "*"),
        ("CORS_ORIGIN", "https://chat.example.com,*"),
        ("ADMIN_TOKEN", "short"),
        ("PROBE_TOKEN", "short"),
    ],
)
def test_production_refuses_weak_settings(key: str, value: str) -> None:
    (mistake,) = mistakes_of(PRODUCTION | {key: value})
    assert mistake.startswith(f"{key}: ")


def test_a_mistake_never_repeats_a_secret() -> None:
    (mistake,) = mistakes_of(PRODUCTION | {"DATABASE_URL": "mysql://root:hunter2@db/x"})
    assert "hunter2" not in mistake


def test_the_example_file_is_the_one_the_code_renders() -> None:
    assert (PROJECT / ".env.production.example").read_text() == config.render_env_file()


def test_every_key_is_explained_in_the_example() -> None:
    text = config.render_env_file()
    for setting in config.SETTINGS:
        assert f"\n{setting.key}=" in text
        assert setting.why in text


def test_secrets_are_fresh_private_and_never_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    config.write_secrets(first)
    config.write_secrets(second)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert first.read_text() != second.read_text()
    before = first.read_text()
    with pytest.raises(ConfigError, match="exists already"):
        config.write_secrets(first)
    assert first.read_text() == before
    secrets = dict(line.split("=", 1) for line in before.splitlines() if "=" in line and not line.startswith("#"))
    assert len(secrets["JWT_SECRET"]) >= config.MIN_SECRET_CHARS
    assert secrets["JWT_SECRET"] != secrets["ADMIN_TOKEN"]
    assert config.load(secrets).production
