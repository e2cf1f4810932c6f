"""What is found: PostgreSQL, Redis, the kernel, disks, a certificate. What cannot be found is None, or a problem.

Each is asked for with a deadline, and nothing is changed but for a file of no bytes that is made and removed where the
messenger will have to write.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import redis
from cryptography import x509

from app import migrations
from app.backups import archive
from app.config import Config, on_cluster
from app.errors import AppError

TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that answered. `clock_ahead_s`: how far its clock is before ours."""

    version: int
    max_connections: int
    clock_ahead_s: float
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the messenger writes. `problem`: why it cannot."""

    key: str
    path: str
    problem: str | None
    free_bytes: int = 0
    size_bytes: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found; what could not be reached is its problem as text."""

    postgres: Postgres | str
    redis: str | None
    """Its version; None: no REDIS_URL."""
    redis_problem: str | None
    descriptors: int
    kernel: Mapping[str, int]
    """By the name under /proc/sys; what this kernel does not have is missing."""
    memory_available_bytes: int
    clock_synchronized: bool | None
    """None: this machine has no timedatectl that says."""
    folders: tuple[Folder, ...]
    last_backup_at: float | None
    certificate_ends_at: float | str | None
    """Unix seconds, or why it is not known; None: not asked."""
    now: float


def gather(config: Config, tls: str | None) -> Facts:
    """Look at everything. `tls`: host:port whose certificate is asked for."""
    version, problem = _redis(config)
    return Facts(
        postgres=_postgres(config),
        redis=version,
        redis_problem=problem,
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        kernel=_kernel(),
        memory_available_bytes=_memory_available(),
        clock_synchronized=_synchronized(),
        folders=tuple(_folder(key, path) for key, path in _written(config)),
        last_backup_at=_last_backup(config),
        certificate_ends_at=_certificate(tls) if tls else None,
        now=time.time(),
    )


def _postgres(config: Config) -> Postgres | str:
    try:
        with closing(psycopg2.connect(config.database_url, connect_timeout=TIMEOUT_S)) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8, current_setting('max_connections')")
            theirs, most = cursor.fetchone()  # type: ignore[misc]
            ahead_s, version = theirs - time.time(), conn.server_version // 10_000
        pending = tuple(step.name for step in migrations.status(config) if not step.applied)
    except psycopg2.Error as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    except AppError as error:
        return error.message
    return Postgres(version, int(most), ahead_s, pending)


def _redis(config: Config) -> tuple[str | None, str | None]:
    if not config.redis_url:
        return None, None
    try:
        if on_cluster(config.redis_url):
            scheme, _, rest = config.redis_url.partition("+cluster://")
            client = redis.Redis.from_url(f"{scheme}://{rest.split(',')[0]}", socket_timeout=TIMEOUT_S)
        else:
            client = redis.Redis.from_url(config.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        with client:
            return str(client.info("server")["redis_version"]), None
    except (redis.RedisError, OSError, ValueError) as error:
        return None, f"{type(error).__name__} at {urlsplit(config.redis_url).hostname}"  # its text may hold the address


_KERNEL = ("net/core/somaxconn", "net/netfilter/nf_conntrack_max")


def _kernel() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in _KERNEL:
        try:
            found[name] = int(Path("/proc/sys", name).read_text())
        except (OSError, ValueError):
            continue
    return found


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _synchronized() -> bool | None:
    if not (program := shutil.which("timedatectl")):
        return None
    done = subprocess.run(  # noqa: S603
        [program, "show", "--property=NTPSynchronized", "--value"],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _written(config: Config) -> list[tuple[str, str]]:
    media = [] if config.media_s3_bucket else [("MEDIA_DIR", config.media_dir)]
    others = (("BACKUP_DIR", config.backup_dir), ("REVOCATIONS_DIR", config.revocations_dir))
    return [*media, *((key, path) for key, path in others if path)]


def _folder(key: str, path: str) -> Folder:
    try:
        with tempfile.TemporaryFile(dir=path):
            usage = shutil.disk_usage(path)
    except OSError as error:
        return Folder(key, path, error.strerror or type(error).__name__)
    return Folder(key, path, None, usage.free, usage.total)


def _last_backup(config: Config) -> float | None:
    if not config.backup_dir or not os.access(config.backup_dir, os.R_OK):
        return None
    try:
        return max((one.taken_at for one in archive.manifests(Path(config.backup_dir))), default=None)
    except AppError:
        return None


def _certificate(address: str) -> float | str:
    """When the certificate that is shown ends; whoever issued it, so that one that has ended is told of, too."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, int(port)), TIMEOUT_S) as raw,
            context.wrap_socket(raw, server_hostname=host) as sock,
        ):
            shown = sock.getpeercert(binary_form=True) or b""
        return x509.load_der_x509_certificate(shown).not_valid_after_utc.timestamp()
    except (OSError, ValueError) as error:
        return str(error)
