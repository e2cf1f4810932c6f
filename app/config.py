"""The one place where configuration enters: a frozen `Config`, read once from the environment.

`SETTINGS` declares every key with its form, its default and its reason;
`.env.production.example` is written from it, so the two cannot differ.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.errors import ConfigError
from app.files import create_private

DEVELOPMENT_JWT_SECRET = "development-only-secret-do-not-deploy"  # noqa: S105  refused in production by name
MIN_SECRET_CHARS = 32
REDIS_CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
CLUSTER_SHARDS = 16
"""Shards of the bus on a cluster: a few for each of its masters, so that none is idle or overloaded."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the messenger can be told from outside. Times in seconds, sizes in bytes."""

    app_env: str
    database_url: str
    redis_url: str | None
    bus_shards: int
    jwt_secret: str
    admin_token: str | None
    probe_token: str | None
    cors_origin: tuple[str, ...]
    cdn_url: str | None
    host: str
    port: int
    metrics_host: str
    metrics_port: int
    node_id: str
    log_level: str
    access_token_ttl_s: int
    refresh_token_ttl_s: int
    database_pool_size: int
    max_connections: int
    auth_attempts_per_minute: int
    send_rate_per_s: int
    beat_s: int
    drain_s: int
    trusted_proxies: tuple[str, ...]
    turn_secret: str | None
    turn_uris: tuple[str, ...]
    turn_ttl_s: int
    media_dir: str
    media_max_bytes: int
    media_daily_bytes: int
    media_s3_bucket: str | None
    media_s3_endpoint: str | None
    media_s3_region: str
    media_s3_access_key: str | None
    media_s3_secret_key: str | None
    backup_dir: str | None
    backup_keep: int
    revocations_dir: str | None

    @property
    def production(self) -> bool:
        """Whether the strict rules hold and fault switches do not exist."""
        return self.app_env == "production"


@dataclass(frozen=True)
class Setting:
    """One key of the environment: how its text is read, and what stands in the example file."""

    key: str
    parse: Callable[[str], Any]
    default: str | None
    example: str
    why: str
    secret: bool = False


def load(environ: Mapping[str, str]) -> Config:
    """The configuration in `environ`; raises ConfigError naming every mistake by its key."""
    mistakes: list[str] = []
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environ.get(setting.key) or setting.default
        try:
            values[setting.key.lower()] = setting.parse(text) if text else None
        except ValueError as error:
            mistakes.append(f"{setting.key}: {error}")
    if not values.get("node_id"):
        values["node_id"] = f"{socket.gethostname()}:{values.get('port')}"
    values["bus_shards"] = values.get("bus_shards") or (CLUSTER_SHARDS if on_cluster(values.get("redis_url")) else 1)
    mistakes += _missing(values, environ) + _unfit_for_production(values, environ)
    if mistakes:
        raise ConfigError(mistakes)
    values["cors_origin"] = values["cors_origin"] or ()
    values["trusted_proxies"] = values["trusted_proxies"] or ()
    values["turn_uris"] = values["turn_uris"] or ()
    return Config(**values)


def _missing(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    mistakes = []
    if values.get("app_env") != "production" and "database_url" in values and not values["database_url"]:
        mistakes.append("DATABASE_URL: is not set; `make run` starts a database and sets it")
    if values.get("turn_uris") and not values.get("turn_secret"):
        mistakes.append("TURN_SECRET: must be set where TURN_URIS is")
    if values.get("media_s3_bucket") and not (values.get("media_s3_access_key") and values.get("media_s3_secret_key")):
        mistakes.append("MEDIA_S3_ACCESS_KEY, MEDIA_S3_SECRET_KEY: must be set where MEDIA_S3_BUCKET is")
    if environ.get("JWT_SECRET") and len(environ["JWT_SECRET"]) < MIN_SECRET_CHARS:
        mistakes.append(f"JWT_SECRET: needs at least {MIN_SECRET_CHARS} characters")
    return mistakes


def _unfit_for_production(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """What development forgives and production must not."""
    if values.get("app_env") != "production":
        return []
    mistakes = [
        f"{key}: must be set in production"
        for key in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "CORS_ORIGIN")
        if not environ.get(key)
    ]
    if environ.get("JWT_SECRET") == DEVELOPMENT_JWT_SECRET:
        mistakes.append("JWT_SECRET: is the development secret; `python -m app secrets` makes a strong one")
    if "*" in (values.get("cors_origin") or ()):
        mistakes.append("CORS_ORIGIN: a wildcard is refused in production; name the origins")
    mistakes += [
        f"{key}: needs at least {MIN_SECRET_CHARS} characters"
        for key in ("ADMIN_TOKEN", "PROBE_TOKEN")
        if 0 < len(environ.get(key, "")) < MIN_SECRET_CHARS
    ]
    return mistakes


# How a key's text is read. Each raises ValueError with the rest of the sentence "KEY: …".


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is {text!r}, expected one of: {', '.join(allowed)}")
        return text

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"is {text!r}, expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        # The text is not repeated: a URL may hold a password, and this sentence reaches logs.
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"is not a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return text

    return parse


def on_cluster(redis_url: str | None) -> bool:
    """Whether a REDIS_URL names a cluster rather than one Redis."""
    return bool(redis_url) and urlsplit(redis_url or "").scheme in REDIS_CLUSTER_SCHEMES


def _redis_url(text: str) -> str:
    _url("redis", "rediss", "unix", *REDIS_CLUSTER_SCHEMES)(text)
    if on_cluster(text):
        parts = urlsplit(text)
        for address in parts.netloc.rpartition("@")[2].split(","):
            if not re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", address):
                raise ValueError("names a cluster, so it needs host:port, or several separated by commas")
        if parts.path not in ("", "/", "/0"):
            raise ValueError("names a database; a cluster has only database 0")
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not origins:
        raise ValueError("names no origin")
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path):
            raise ValueError(f"{origin!r} is not an origin such as https://chat.example.com")
    return origins


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ip_network(part.strip())) for part in text.split(",") if part.strip())


def _turn_uris(text: str) -> tuple[str, ...]:
    uris = tuple(part.strip() for part in text.split(",") if part.strip())
    for uri in uris:
        if not re.fullmatch(r"(turns?|stuns?):[A-Za-z0-9.\[\]:-]+(\?transport=(udp|tcp))?", uri):
            raise ValueError(f"{uri!r} is no URI such as turn:turn.example.com:3478?transport=udp (RFC 7065)")
    return uris


def _text(text: str) -> str:
    if any(ord(ch) < 32 for ch in text):
        raise ValueError("holds a control character")
    return text


SETTINGS: tuple[Setting, ...] = (
    Setting("APP_ENV", _one_of("development", "production"), "development", "production",
            "production refuses weak settings and has no fault switches"),
    Setting("DATABASE_URL", _url("postgresql", "postgres"), None,
            "postgresql://messenger:PASSWORD@db.example.com:5432/messenger?sslmode=verify-full",
            "PostgreSQL 14 or newer; the only place where messages live"),
    Setting("REDIS_URL", _redis_url, None, "rediss://:PASSWORD@redis.example.com:6379/0",
            "Redis 7 or newer; carries frames between nodes, holds nothing that cannot be rebuilt. "
            "A cluster: redis+cluster:// or rediss+cluster:// and some of its host:port, comma-separated. "
            "Development without it: one node"),
    Setting("BUS_SHARDS", _integer(1, 256), None, "1",
            "channels that carry frames between nodes, the same number on all nodes; "
            f"when empty 1, on a cluster {CLUSTER_SHARDS}"),
    Setting("JWT_SECRET", _text, DEVELOPMENT_JWT_SECRET, "SECRET",
            f"signs access tokens; at least {MIN_SECRET_CHARS} characters; changing it signs everybody out", True),
    Setting("ADMIN_TOKEN", _text, None, "SECRET",
            "bearer token of POST /test/broadcast; without it the endpoint does not exist", True),
    Setting("PROBE_TOKEN", _text, None, "SECRET",
            "bearer token that registers probes of the monitoring, who are kept out of the users' metrics; "
            "without it there are none", True),
    Setting("CORS_ORIGIN", _origins, None, "https://chat.example.com",
            "origins, comma-separated, whose pages may call the API and open WebSockets"),
    Setting("CDN_URL", _url("https", "http"), None, "https://cdn.example.com",
            "where media are delivered from; empty means this server"),
    Setting("HOST", _text, "127.0.0.1", "0.0.0.0",  # noqa: S104  an example for a node behind nginx
            "address the API and WebSocket server listens on"),
    Setting("PORT", _integer(1, 65535), "3001", "3001", "port of the API and the WebSocket server"),
    Setting("METRICS_HOST", _text, "127.0.0.1", "10.0.0.11",
            "address of /metrics: loopback or the private network, never public"),
    Setting("METRICS_PORT", _integer(1, 65535), "9090", "9090", "port of /metrics"),
    Setting("NODE_ID", _text, None, "node1", "this node's name in logs and on the bus; host:port when empty"),
    Setting("LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "info", "info", "least severity that is logged"),
    Setting("ACCESS_TOKEN_TTL_S", _integer(60, 86_400), "900", "900", "life of an access token"),
    Setting("REFRESH_TOKEN_TTL_S", _integer(3_600, 31_536_000), "2592000", "2592000",
            "life of a refresh token; each use replaces it"),
    Setting("DATABASE_POOL_SIZE", _integer(3, 200), "8", "8", "database connections of this node"),
    Setting("MAX_CONNECTIONS", _integer(1, 1_000_000), "18500", "18500",
            "WebSocket connections this process accepts; further handshakes get 503. "
            "Keep it below the descriptor limit"),
    Setting("AUTH_ATTEMPTS_PER_MINUTE", _integer(1, 1_000_000), "30", "30",
            "registrations and sign-ins a minute, for one address and for one name"),
    Setting("SEND_RATE_PER_S", _integer(1, 1_000_000), "50", "50",
            "messages and other commands a second one device may send; bursts of four times that pass"),
    Setting("BEAT_S", _integer(1, 300), "25", "25",
            "a beat, in seconds: a client that shows no life is pinged, and cut after two beats at the latest"),
    Setting("DRAIN_S", _integer(1, 600), "20", "20",
            "seconds a node that goes away may take to close its connections; one with few is faster"),
    Setting("TRUSTED_PROXIES", _networks, None, "10.0.0.0/24",
            "networks, comma-separated, whose X-Forwarded-For is believed"),
    Setting("TURN_URIS", _turn_uris, None, "turn:turn.example.com:3478?transport=udp",
            "TURN and STUN servers, comma-separated, that calls are relayed by; none: calls find a direct way or fail"),
    Setting("TURN_SECRET", _text, None, "SECRET",
            "shared with the TURN servers (coturn: static-auth-secret); signs credentials for callers", True),
    Setting("TURN_TTL_S", _integer(60, 86_400), "3600", "3600", "life of such credentials"),
    Setting("MEDIA_DIR", _text, ".run/media", "/var/lib/messenger/media",
            "folder of attachments and avatars, shared by all nodes; not used with MEDIA_S3_BUCKET"),
    Setting("MEDIA_MAX_BYTES", _integer(1, 5_000_000_000), "104857600", "104857600", "size of one attachment"),
    Setting("MEDIA_DAILY_BYTES", _integer(1, 10**15), "1073741824", "1073741824", "attachments of one person a day"),
    Setting("MEDIA_S3_BUCKET", _text, None, "", "bucket for media in place of a folder; it must exist"),
    Setting("MEDIA_S3_ENDPOINT", _url("https", "http"), None, "", "address of the S3 service; empty means Amazon's"),
    Setting("MEDIA_S3_REGION", _text, "us-east-1", "us-east-1", "region of the bucket"),
    Setting("MEDIA_S3_ACCESS_KEY", _text, None, "", "who this server is to the S3 service"),
    Setting("MEDIA_S3_SECRET_KEY", _text, None, "", "and its secret"),
    Setting("BACKUP_DIR", _text, None, "/var/backups/messenger",
            "where `backup` writes its archives; `migrate up` in production wants one younger than an hour"),
    Setting("BACKUP_KEEP", _integer(1, 10_000), "14", "14", "archives that stay; older ones are removed"),
    Setting("REVOCATIONS_DIR", _text, None, "/var/lib/messenger/revocations",
            "folder outside the database where revoked devices are written down as well, a file a node: "
            "what `restore` brings back stays signed out"),
)  # fmt: skip


def render_env_file(secret_of: Callable[[str], str] | None = None) -> str:
    """The text of `.env.production.example`, or of `.env.production` when `secret_of(key)` gives fresh secrets."""
    lines = [
        "# Settings of the messenger in production, one KEY=value a line.",
        "# `python -m app secrets` writes .env.production from this list with fresh secrets.",
        "# What stands for an address, a password or an origin here is yours to replace.",
    ]
    for setting in SETTINGS:
        value = secret_of(setting.key) if secret_of and setting.secret else setting.example
        note = f" (default: {setting.default})" if setting.default and not setting.secret else ""
        lines += ["", f"# {setting.why}{note}", f"{setting.key}={value}"]
    return "\n".join(lines) + "\n"


def write_secrets(path: Path) -> None:
    """Write `path` with fresh secrets, readable by its owner only.

    Raises ConfigError when the file exists: secrets are never overwritten.
    """
    with create_private(path) as file:
        file.write(render_env_file(lambda _key: secrets.token_urlsafe(48)))
