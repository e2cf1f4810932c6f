"""What the facts mean: fit or not, why it matters, how to mend it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.config import DEVELOPMENT_JWT_SECRET, Config
from app.preflight.facts import Facts, Folder

Level = Literal["ok", "warn", "fail"]

POSTGRES_VERSION, REDIS_VERSION = 14, 7
SPARE_DESCRIPTORS = 1_000
"""Beside connections: the database, Redis, files, media that are uploaded, scrapes."""
CONNECTION_BYTES = 40 * 1024
"""A guess on the safe side: its objects are some 2 KiB (docs/performance.md), the rest is for buffers."""
SOMAXCONN = 1_024
CLOCK_WARN_S, CLOCK_FAIL_S = 0.5, 5.0
DAY_S = 86_400
CERTIFICATE_WARN_S, CERTIFICATE_FAIL_S = 21 * DAY_S, 3 * DAY_S
BACKUP_S = 26 * 3_600
DISK_WARN_SHARE, DISK_FAIL_BYTES = 0.1, 1024**3
POOLS = 2
"""Database connections of a node beside its pool: those for cursors."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `why` and `mend` are empty where all is well."""

    name: str
    level: Level
    found: str
    why: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served: connections of one node process, and how many such processes use the database."""

    connections: int
    processes: int


def judge(config: Config, facts: Facts, plan: Plan) -> list[Finding]:
    """Every finding, in the order of the deployment checklist."""
    return [
        *_settings(config),
        *_postgres(config, facts, plan),
        _redis(facts),
        *_machine(config, facts, plan),
        *_clock(facts),
        *(_folder(folder) for folder in facts.folders),
        *_backups(config, facts),
        *_certificate(facts),
    ]


def _is(name: str, good: bool, found: str, why: str, mend: str, *, bad: Level = "fail") -> Finding:
    return Finding(name, "ok", found) if good else Finding(name, bad, found, why, mend)


def _settings(config: Config) -> Iterator[Finding]:
    yield _is("APP_ENV", config.production, config.app_env,
              "development has fault switches and weak defaults", "APP_ENV=production", bad="warn")  # fmt: skip
    own = config.jwt_secret != DEVELOPMENT_JWT_SECRET
    yield _is("JWT_SECRET", own, "of your own" if own else "the development secret",
              "whoever reads our source could sign in as anybody", "python -m app secrets")  # fmt: skip
    named = bool(config.cors_origin) and "*" not in config.cors_origin
    yield _is("CORS_ORIGIN", named, ", ".join(config.cors_origin) or "none",
              "with none no page elsewhere may connect, with * every page may", "name your pages' origins")  # fmt: skip
    cdn = config.cdn_url or ""
    yield _is("CDN_URL", cdn.startswith("https://"), cdn or "none: this server delivers media",
              "media are fetched unencrypted, or through the nodes", "an https:// address", bad="warn")  # fmt: skip


def _postgres(config: Config, facts: Facts, plan: Plan) -> Iterator[Finding]:
    found = facts.postgres
    if isinstance(found, str):
        yield Finding("PostgreSQL", "fail", found, "no message can be taken", "start it; look at DATABASE_URL")
        return
    yield _is("PostgreSQL", found.version >= POSTGRES_VERSION, f"version {found.version}",
              f"queries need {POSTGRES_VERSION}", f"upgrade to {POSTGRES_VERSION} or newer")  # fmt: skip
    needed = plan.processes * (config.database_pool_size + POOLS)
    yield _is("max_connections", found.max_connections > needed,
              f"{found.max_connections}, and {plan.processes} processes take up to {needed}",
              "nodes would be refused when they are busiest", "raise it, or lower DATABASE_POOL_SIZE")  # fmt: skip
    pending = f"{', '.join(found.pending)} pending" if found.pending else "all applied"
    yield _is("migrations", not found.pending, pending,
              "nodes of this version need them", "python -m app migrate up")  # fmt: skip


def _redis(facts: Facts) -> Finding:
    if facts.redis_problem:
        return Finding("Redis", "fail", facts.redis_problem, "nodes hear of each other by the log alone, a fifth of a "
                       "second late", "start it; look at REDIS_URL")  # fmt: skip
    if facts.redis is None:
        return Finding(
            "Redis", "warn", "no REDIS_URL", "only one node hears what is sent to it at once", "set REDIS_URL"
        )
    major = int(facts.redis.split(".")[0])
    return _is("Redis", major >= REDIS_VERSION, f"version {facts.redis}",
               f"sharded channels need {REDIS_VERSION}", f"upgrade to {REDIS_VERSION} or newer")  # fmt: skip


def _machine(config: Config, facts: Facts, plan: Plan) -> Iterator[Finding]:
    yield _is("MAX_CONNECTIONS", config.max_connections >= plan.connections,
              f"{config.max_connections}, and {plan.connections} are planned",
              "further handshakes are answered 503", "raise it, or add processes")  # fmt: skip
    needed = plan.connections + SPARE_DESCRIPTORS
    yield _is("descriptors", facts.descriptors >= needed, f"{facts.descriptors}, and {needed} are needed",
              "each connection takes one; at the limit a node takes neither people nor scrapes",
              "LimitNOFILE= of the unit, ulimit -n, or more processes")  # fmt: skip
    bytes_needed = plan.connections * CONNECTION_BYTES
    yield _is("memory", facts.memory_available_bytes >= bytes_needed,
              f"{facts.memory_available_bytes / 1024**3:.1f} GiB available, {bytes_needed / 1024**3:.1f} GiB planned",
              "the kernel ends a process when there is none left", "fewer connections, or more memory")  # fmt: skip
    queue = facts.kernel.get("net/core/somaxconn")
    if queue is not None:
        yield _is("somaxconn", queue >= SOMAXCONN, str(queue), "handshakes of a reconnect storm are dropped",
                  f"sysctl -w net.core.somaxconn={SOMAXCONN}", bad="warn")  # fmt: skip
    tracked = facts.kernel.get("net/netfilter/nf_conntrack_max")
    if tracked is not None:
        yield _is("nf_conntrack_max", tracked >= 2 * plan.connections, str(tracked),
                  "the firewall drops connections that it cannot track",
                  f"sysctl -w net.netfilter.nf_conntrack_max={4 * plan.connections}")  # fmt: skip


def _clock(facts: Facts) -> Iterator[Finding]:
    why = "latencies between machines are measured by their clocks, and tokens expire by them"
    if not isinstance(facts.postgres, str):
        ahead_s = facts.postgres.clock_ahead_s
        level: Level = "fail" if abs(ahead_s) > CLOCK_FAIL_S else "warn"
        yield _is("clock", abs(ahead_s) <= CLOCK_WARN_S, f"the database's is {ahead_s:+.2f} s from ours", why,
                  "run chrony or systemd-timesyncd on both", bad=level)  # fmt: skip
    if facts.clock_synchronized is not None:
        yield _is("NTP", facts.clock_synchronized, "synchronized" if facts.clock_synchronized else "not synchronized",
                  why, "timedatectl set-ntp true", bad="warn")  # fmt: skip


def _folder(folder: Folder) -> Finding:
    if folder.problem:
        return Finding(folder.key, "fail", f"{folder.path}: {folder.problem}", "the messenger must write there",
                       f"mkdir -p {folder.path}, owned by the user of the nodes")  # fmt: skip
    share = folder.free_bytes / folder.size_bytes
    level: Level = "fail" if folder.free_bytes < DISK_FAIL_BYTES else "warn"
    roomy = share >= DISK_WARN_SHARE and folder.free_bytes >= DISK_FAIL_BYTES
    return _is(folder.key, roomy, f"{folder.path}: {folder.free_bytes / 1024**3:.1f} GiB free, {share:.0%}",
               "uploads and backups fail when it is full", "free space, or a larger disk", bad=level)  # fmt: skip


def _backups(config: Config, facts: Facts) -> Iterator[Finding]:
    mend = "python -m app backup, from a timer"
    if facts.last_backup_at is None:
        found = f"none in {config.backup_dir}" if config.backup_dir else "no BACKUP_DIR"
        yield Finding("backup", "fail" if config.production else "warn", found, "what is lost is lost", mend)
    else:
        age_s = facts.now - facts.last_backup_at
        yield _is("backup", age_s <= BACKUP_S, f"{age_s / 3_600:.1f} hours old", "what came since would be lost", mend)
    if config.revocations_dir is None:
        yield Finding("REVOCATIONS_DIR", "warn", "not set", "a restored backup signs devices in again that were "
                      "revoked since", "a folder that all nodes share")  # fmt: skip


def _certificate(facts: Facts) -> Iterator[Finding]:
    ends = facts.certificate_ends_at
    if ends is None:
        return
    if isinstance(ends, str):
        yield Finding("TLS", "fail", ends, "nobody can connect", "look at the proxy, and at the address")
        return
    left_s = ends - facts.now
    level: Level = "fail" if left_s < CERTIFICATE_FAIL_S else "warn"
    yield _is("TLS", left_s >= CERTIFICATE_WARN_S, f"the certificate ends in {left_s / DAY_S:.1f} days",
              "then nobody can connect", "renew it; look why that did not happen by itself", bad=level)  # fmt: skip
