"""Where the stack's parts listen and keep their data; each can be moved by an environment variable."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


class StackError(Exception):
    """The stack cannot start; the text says what to do, one line a problem."""


@dataclass(frozen=True)
class NodePorts:
    """Of one node."""

    port: int
    metrics_port: int


@dataclass(frozen=True)
class Ports:
    """Every port of the stack, all on loopback. The environment variable is the name in capitals."""

    port: int = 3001
    preview_port: int = 3002
    metrics_port: int = 9090
    redis_port: int = 6380
    prometheus_port: int = 9091
    alertmanager_port: int = 9093
    oncall_port: int = 9095
    probe_metrics_port: int = 9096
    proxy_port: int = 3003
    nginx_status_port: int = 3004
    # Not the exporters' usual ports: a machine may have some of its own.
    host_exporter_port: int = 9191
    nginx_exporter_port: int = 9192
    redis_exporter_port: int = 9193
    postgres_exporter_port: int = 9194

    @property
    def nodes(self) -> tuple[NodePorts, ...]:
        """Of each node, the first first."""
        return (NodePorts(self.port, self.metrics_port),)

    @property
    def tls(self) -> int | None:
        """Where nginx listens with TLS; None: only without."""
        return None


@dataclass(frozen=True)
class ClusterPorts(Ports):
    """Every port of `make cluster`: three nodes behind nginx with TLS."""

    port: int = 3011
    metrics_port: int = 9101
    node2_port: int = 3012
    node2_metrics_port: int = 9102
    node3_port: int = 3013
    node3_metrics_port: int = 9103
    tls_port: int = 3443

    @property
    def nodes(self) -> tuple[NodePorts, ...]:
        """Of each node, the first first."""
        return (
            NodePorts(self.port, self.metrics_port),
            NodePorts(self.node2_port, self.node2_metrics_port),
            NodePorts(self.node3_port, self.node3_metrics_port),
        )

    @property
    def tls(self) -> int | None:
        """Where nginx listens with TLS."""
        return self.tls_port


@dataclass(frozen=True)
class Settings:
    """What `make run` can be told. Durations as Prometheus writes them."""

    ports: Ports
    folder: Path
    database_url: str | None
    redis_url: str | None
    scrape_interval: str
    window_divisor: int
    alertmanager_wait: str
    traffic_per_s: float
    probe_interval_s: int
    oncall_hook: str | None

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        """Passwords and tokens of this stack, made on the first start."""
        return self.folder / "secrets"

    @property
    def monitoring_yaml(self) -> Path:
        """What rules, alerts and boards of this stack are generated from."""
        return self.folder / "monitoring.yaml"

    @property
    def oncall_yaml(self) -> Path:
        """Who is called for what."""
        return self.folder / "oncall.yaml"

    @property
    def probes_yaml(self) -> Path:
        """What is probed, and how often."""
        return self.folder / "probes.yaml"

    @property
    def certificate(self) -> Path:
        """What nginx shows where it has TLS; its key lies beside it."""
        return self.folder / "secrets" / "certificate.pem"

    @property
    def url(self) -> str:
        """The messenger as people reach it: nginx with TLS where there are several nodes, else the node."""
        return f"https://localhost:{self.ports.tls}" if self.ports.tls else self.app_url

    @property
    def proxy_url(self) -> str:
        """The messenger by way of nginx; the messenger itself where there is none."""
        if self.ports.tls:
            return self.url
        return f"http://127.0.0.1:{self.ports.proxy_port}" if find("nginx") else self.app_url

    @property
    def app_url(self) -> str:
        """The first node itself."""
        return f"http://127.0.0.1:{self.ports.port}"

    @property
    def preview_url(self) -> str:
        """The dashboards."""
        return f"http://127.0.0.1:{self.ports.preview_port}"


def load(environ: Mapping[str, str], kind: type[Ports] = Ports, folder: str = ".run") -> Settings:
    """The settings in `environ`; data lie in `folder` of the project unless RUN_DIR says otherwise.

    Raises StackError naming every variable that does not fit.
    """
    problems: list[str] = []

    def number(key: str, default: float) -> float:
        text = environ.get(key, str(default))
        try:
            value = float(text)
        except ValueError:
            problems.append(f"{key}: is {text!r}, expected a number")
            return default
        if value <= 0:
            problems.append(f"{key}: is {text}, expected more than 0")
        return value

    ports = kind(**{f.name: int(number(f.name.upper(), float(f.default))) for f in fields(kind)})  # type: ignore[arg-type]
    problems += [
        f"{field.name.upper()}: is {getattr(ports, field.name)}, expected 1 to 65535"
        for field in fields(ports)
        if not 0 < getattr(ports, field.name) < 65536
    ]
    settings = Settings(
        ports=ports,
        folder=Path(environ.get("RUN_DIR", PROJECT / folder)).resolve(),
        database_url=environ.get("DATABASE_URL") or None,
        redis_url=environ.get("REDIS_URL") or None,
        scrape_interval=environ.get("SCRAPE_INTERVAL", "5s"),
        window_divisor=int(number("WINDOW_DIVISOR", 1)),
        alertmanager_wait=environ.get("ALERTMANAGER_WAIT", "10s"),
        traffic_per_s=number("TRAFFIC_PER_S", 5),
        oncall_hook=environ.get("ONCALL_HOOK") or None,
        probe_interval_s=max(1, int(number("PROBE_INTERVAL_S", 5))),
    )
    if problems:
        raise StackError("\n".join(problems))
    return settings


def require_free(ports: Ports, *, redis: bool) -> None:
    """Raise StackError that names every port somebody else listens on."""
    taken = []
    for field in fields(ports):
        port = getattr(ports, field.name)
        if (field.name != "redis_port" or redis) and not is_free(port):
            key = field.name.upper()
            taken.append(f"port {port} is taken ({key}); stop who listens there, or start with {key}=…")
    if taken:
        raise StackError("\n".join(taken))


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of loopback."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find(*names: str) -> str | None:
    """The first of these programs that the machine has; /usr/sbin counts, also for plain users."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def require(package: str, *names: str) -> str:
    """Like `find`, or StackError that names the Debian package."""
    found = find(*names)
    if found is None:
        raise StackError(f"{names[0]} is missing; `make setup` installs it (Debian package {package})")
    return found
