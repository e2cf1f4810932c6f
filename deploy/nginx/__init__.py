"""nginx before the nodes: one template for production, `make cluster` and `make run`, and the arithmetic of its size.

What the template promises, and why, stands in site.conf.j2 beside what does it. `python -m deploy.render nginx`
writes production's file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

DESCRIPTORS_A_CONNECTION = 2
"""The client's socket and the node's."""
SPARE_DESCRIPTORS = 500
"""Of each worker: logs, listeners, cached files, and requests beside the connections that stay."""
EPHEMERAL_PORTS = 28_232
"""Of Linux' default net.ipv4.ip_local_port_range: so many connections from here to one address and port."""
_ADDRESS = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_PATH = re.compile(r"[A-Za-z0-9/._-]+")


class SiteError(Exception):
    """The file cannot be written as asked; the text names every option, one line each."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a configuration is made of. Paths are those of the machine nginx runs on; sizes are for all workers."""

    nodes: tuple[str, ...]
    """host:port of each node."""
    domain: str
    certificate: str
    key: str
    listen: tuple[str, ...] = ("443", "[::]:443")
    """Where people are served with TLS; empty: nowhere."""
    plain: tuple[str, ...] = ()
    """Where the same is served without TLS: loopback only."""
    redirect: tuple[str, ...] = ()
    """Where who comes without TLS is sent to TLS."""
    status: str = "127.0.0.1:8081"
    """nginx's own figures, for its exporter."""
    user: str | None = "www-data"
    pid: str = "/run/nginx.pid"
    temporary: str = "/var/lib/nginx"
    cache: str = "/var/cache/nginx/media"
    access_log: str = "/var/log/nginx/access.log"
    error_log: str = "/var/log/nginx/error.log"
    connections: int = 100_000
    descriptors: int = 20_000
    """What one worker may open."""
    ephemeral_ports: int = EPHEMERAL_PORTS
    remembered_s: int = 31_536_000
    """How long browsers shall insist on TLS (RFC 6797); 0: they need not."""

    @property
    def worker_connections(self) -> int:
        """Sockets of one worker, both sides counted."""
        return self.descriptors - SPARE_DESCRIPTORS

    @property
    def workers(self) -> int:
        """Processes, so that all connections have their descriptors."""
        return max(2, math.ceil(self.connections * DESCRIPTORS_A_CONNECTION / self.worker_connections))


def mistakes(site: Site) -> list[str]:
    """What is wrong with it, a line each that begins with the option.

    >>> mistakes(Site(nodes=("a:3001",), domain="chat.example.com", certificate="/c", key="/k"))
    ['--nodes: 1 of them can take 28,232 connections from one machine, 100,000 were asked for: name 4 or \
more, or widen net.ipv4.ip_local_port_range and say --ephemeral-ports']
    >>> site = Site(nodes=("a:3001", "a;b"), domain="x y", certificate="/c", key="/k", connections=10)
    >>> [line.partition(":")[0] for line in mistakes(site)]
    ['--nodes', '--domain']
    """
    found = [
        f"--nodes: {node!r} is not host:port"
        for node in site.nodes
        if not (parts := _ADDRESS.fullmatch(node)) or not 0 < int(parts[2]) < 65_536
    ]
    if len(set(site.nodes)) < len(site.nodes) or not site.nodes:
        found.append("--nodes: expected one or more, each once")
    if not _DOMAIN.fullmatch(site.domain):
        found.append(f"--domain: {site.domain!r} is no name of a host")
    found += [
        f"--{option.replace('_', '-')}: {getattr(site, option)!r} is no plain path"
        for option in ("certificate", "key", "cache", "access_log", "error_log", "temporary", "pid")
        if not _PATH.fullmatch(getattr(site, option))
    ]
    if site.descriptors <= SPARE_DESCRIPTORS * 2:
        found.append(f"--descriptors: expected more than {SPARE_DESCRIPTORS * 2}, found {site.descriptors}")
    room = len(site.nodes) * site.ephemeral_ports
    if site.connections > room and not found:
        enough = math.ceil(site.connections / site.ephemeral_ports)
        found.append(
            f"--nodes: {len(site.nodes)} of them can take {room:,} connections from one machine, "
            f"{site.connections:,} were asked for: name {enough} or more, or widen net.ipv4.ip_local_port_range "
            f"and say --ephemeral-ports"
        )
    return found


def render(site: Site) -> str:
    """The whole nginx.conf. Raises SiteError with every mistake."""
    if found := mistakes(site):
        raise SiteError("\n".join(found))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  no HTML; what is put in was matched above
    )
    return environment.get_template("site.conf.j2").render(site=site)
