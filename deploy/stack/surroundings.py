"""What stands around the messenger: nginx before it, and Debian's exporters beside what it needs.

Each runs where its program is installed; without one its board has no data, and the
stack says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from deploy.nginx import Site, render
from deploy.stack.settings import Settings, find

LOOPBACK = "127.0.0.1"
CONNECTIONS, DESCRIPTORS = 8_000, 10_000
"""What nginx of a stack is made for: two workers."""


@dataclass(frozen=True)
class Part:
    """One program around the messenger: the job Prometheus has for it, and where its figures are."""

    name: str
    job: str
    program: str
    port: int


def parts(settings: Settings) -> tuple[Part, ...]:
    """The exporters, by job."""
    ports = settings.ports
    return (
        Part("postgres-exporter", "postgres", "prometheus-postgres-exporter", ports.postgres_exporter_port),
        Part("redis-exporter", "redis", "prometheus-redis-exporter", ports.redis_exporter_port),
        Part("nginx-exporter", "nginx", "prometheus-nginx-exporter", ports.nginx_exporter_port),
        Part("host-exporter", "host", "prometheus-node-exporter", ports.host_exporter_port),
    )


def there(settings: Settings) -> tuple[Part, ...]:
    """Those that can run on this machine; that of nginx only beside nginx."""
    return tuple(one for one in parts(settings) if find(one.program) and (one.job != "nginx" or find("nginx")))


def missing(settings: Settings) -> list[str]:
    """A sentence for each that cannot."""
    found = there(settings)
    return [
        f"{one.program} is missing; `make setup` installs it. Without it the dashboard of {one.job} has no data"
        for one in parts(settings)
        if one not in found
    ]


def commands(settings: Settings, database_url: str, redis_url: str) -> dict[str, tuple[list[str], Mapping[str, str]]]:
    """Command and environment of each by name; secrets are in the environment, which only its owner can read."""
    ports = settings.ports
    own: dict[str, tuple[list[str], Mapping[str, str]]] = {
        "postgres-exporter": (
            # Debian's version asks for columns that PostgreSQL 17 moved; everything else of it works.
            ["--no-collector.bgwriter", f"--web.listen-address={LOOPBACK}:{ports.postgres_exporter_port}"],
            {"DATA_SOURCE_NAME": data_source(database_url)},
        ),
        "redis-exporter": (
            [f"--web.listen-address={LOOPBACK}:{ports.redis_exporter_port}"],
            {"REDIS_ADDR": redis_url},
        ),
        "nginx-exporter": (
            [
                f"-nginx.scrape-uri=http://{LOOPBACK}:{ports.nginx_status_port}/status",
                f"-web.listen-address={LOOPBACK}:{ports.nginx_exporter_port}",
            ],
            {},
        ),
        "host-exporter": ([f"--web.listen-address={LOOPBACK}:{ports.host_exporter_port}"], {}),
    }
    started: dict[str, tuple[list[str], Mapping[str, str]]] = {}
    if nginx := find("nginx"):
        started["nginx"] = (
            [
                nginx,
                "-c",
                str(settings.folder / "nginx" / "nginx.conf"),
                "-p",
                str(settings.folder),
                "-g",
                "daemon off;",
                "-e",
                str(settings.logs / "nginx.log"),
            ],
            {},
        )
    for one in there(settings):
        if one.job == "redis" and not redis_url:
            continue
        arguments, env = own[one.name]
        started[one.name] = ([str(find(one.program)), *arguments], env)
    return started


def data_source(database_url: str) -> str:
    """The database as the exporter's library wants it, which asks for TLS unless it is told that there is none.

    >>> data_source("postgresql://postgres:@/postgres?host=/run/db")
    'postgresql://postgres:@/postgres?host=/run/db&sslmode=disable'
    >>> data_source("postgresql://app:pw@db.example.com/app")
    'postgresql://app:pw@db.example.com/app'
    """
    split = urlsplit(database_url)
    is_local = split.hostname in (None, "", "localhost", "127.0.0.1", "::1")
    if "sslmode" in split.query or not is_local:
        return database_url
    query = dict(parse_qsl(split.query)) | {"sslmode": "disable"}
    return urlunsplit(split._replace(query=urlencode(query, safe="/")))


def write_nginx(settings: Settings) -> None:
    """nginx.conf from the template that production has, too; everything on loopback."""
    ports = settings.ports
    folder = settings.folder / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    plain = f"{LOOPBACK}:{ports.proxy_port}"
    tls = f"{LOOPBACK}:{ports.tls}" if ports.tls else None
    key = settings.certificate.with_suffix(".key")
    (folder / "nginx.conf").write_text(
        render(
            Site(
                nodes=tuple(f"{LOOPBACK}:{node.port}" for node in ports.nodes),
                domain="localhost",
                certificate=str(settings.certificate),
                key=str(key),
                listen=(tls,) if tls else (),
                plain=(plain,),
                status=f"{LOOPBACK}:{ports.nginx_status_port}",
                # Workers of a root's nginx are another user, who may not enter this folder.
                user="root" if os.geteuid() == 0 else None,
                pid=str(folder / "nginx.pid"),
                temporary=str(folder),
                cache=str(folder / "cache"),
                access_log=str(settings.logs / "nginx-access.log"),
                error_log=str(settings.logs / "nginx.log"),
                connections=CONNECTIONS,
                descriptors=DESCRIPTORS,
                remembered_s=0,
            )
        )
    )
