"""What the supervisor runs, in the order it is started: name, command, environment."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy.stack import surroundings
from deploy.stack.prepare import ENVIRONMENT
from deploy.stack.settings import Settings, find, require
from monitoring import config as configuration
from monitoring.alerting import prometheus
from monitoring.preview import server

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Process:
    """One child of the supervisor; `env` is added to the stack's own environment."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    after: str | None = None
    """A URL that must answer before this one starts."""

    def shell(self, log: Path) -> str:
        """The command line for the supervisor: wait, then become the process, output to `log`."""
        run = f"exec {shlex.join(self.command)} >>{shlex.quote(str(log))} 2>&1"
        if self.after is None:
            return run
        return f"{shlex.join([sys.executable, '-m', 'deploy.stack.wait', self.after])} && {run}"


def every(settings: Settings, secrets: dict[str, str], database_url: str, demo: Path) -> list[Process]:
    """All processes of the stack. Raises StackError when a program is missing."""
    ports, python = settings.ports, sys.executable
    redis_url = settings.redis_url or (f"redis://{LOOPBACK}:{ports.redis_port}/0" if find("redis-server") else "")
    node_env = {
        "APP_ENV": "development",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": secrets["jwt-secret"],
        "ADMIN_TOKEN": secrets["admin-token"],
        "PROBE_TOKEN": secrets["probe-token"],
        "HOST": LOOPBACK,
        "MEDIA_DIR": str(settings.folder / "media"),
        # Prober, demo people and whoever tries it come from one address here.
        "AUTH_ATTEMPTS_PER_MINUTE": "300",
    }
    if ports.tls:
        node_env |= {"TRUSTED_PROXIES": f"{LOOPBACK}/32",
                     "CORS_ORIGIN": f"{settings.url},https://{LOOPBACK}:{ports.tls}"}  # fmt: skip
    ready = f"{settings.app_url}/health/ready"
    probe = [python, "-m", "monitoring", "probe", str(settings.probes_yaml)]
    oncall = [python, "-m", "monitoring", "oncall", "--port", str(ports.oncall_port),
              "--database", str(settings.folder / "oncall.db"),
              "--token-file", str(settings.secrets / "webhook-token"),
              "--password-file", str(settings.secrets / "oncall-password"),
              "--settings", str(settings.oncall_yaml),
              "--deployments", str(settings.folder / "deployments.jsonl")]  # fmt: skip
    preview = [python, "-m", "monitoring", "preview", "--port", str(ports.preview_port),
               "--config", str(settings.monitoring_yaml), "--env", ENVIRONMENT]  # fmt: skip
    trust = trusting(settings)
    traffic = [python, "-m", "deploy.stack.traffic", str(demo), str(settings.traffic_per_s)]
    processes = [
        Process("oncall", oncall, trust),
        Process("alertmanager", _alertmanager(settings)),
        # Before Prometheus, or its first notifications (the Watchdog's among them) come a minute late.
        Process("prometheus", _prometheus(settings), after=f"http://{LOOPBACK}:{ports.alertmanager_port}/-/ready"),
        *(Process(name, [python, "-m", "app", "serve"], node_env | own) for name, own in nodes(settings).items()),
        Process("probe", probe, trust, after=ready),
        Process("traffic", traffic, trust, after=ready),
    ]
    if server.is_built():
        processes.append(Process("preview", preview, after=f"http://{LOOPBACK}:{ports.prometheus_port}/-/ready"))
    processes += [
        Process(name, command, dict(env))
        for name, (command, env) in surroundings.commands(settings, database_url, redis_url).items()
    ]
    if redis_url and not settings.redis_url:
        processes.insert(0, Process("redis", _redis(settings)))
    return processes


def nodes(settings: Settings) -> dict[str, dict[str, str]]:
    """What is each node's own, by name: `node` where there is one, else node1, node2 …"""
    several = len(settings.ports.nodes) > 1
    return {
        f"node{n}" if several else "node": {
            "NODE_ID": f"node{n}", "PORT": str(node.port), "METRICS_PORT": str(node.metrics_port),
        }
        for n, node in enumerate(settings.ports.nodes, 1)
    }  # fmt: skip


def trusting(settings: Settings) -> dict[str, str]:
    """The environment in which requests, websocket-client and ssl believe nginx's certificate, which nobody signed."""
    if not settings.ports.tls:
        return {}
    told_by = ("REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE")
    return dict.fromkeys(told_by, str(settings.certificate))


def _redis(settings: Settings) -> list[str]:
    # No persistence: Redis holds nothing here that cannot be rebuilt.
    return [require("redis-server", "redis-server"), "--bind", LOOPBACK, "--port", str(settings.ports.redis_port),
            "--save", "", "--appendonly", "no", "--dir", str(settings.folder / "redis")]  # fmt: skip


def _alertmanager(settings: Settings) -> list[str]:
    return [require("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager"),
            f"--config.file={settings.folder / 'alerts' / 'alertmanager.yml'}",
            f"--storage.path={settings.folder / 'alertmanager'}",
            f"--web.listen-address={LOOPBACK}:{settings.ports.alertmanager_port}",
            "--cluster.listen-address=", "--data.maintenance-interval=1m"]  # fmt: skip


def _prometheus(settings: Settings) -> list[str]:
    return [require("prometheus", "prometheus"),
            f"--config.file={settings.folder / 'alerts' / 'prometheus.yml'}",
            f"--storage.tsdb.path={settings.folder / 'prometheus'}",
            *prometheus.arguments(configuration.load(settings.monitoring_yaml, ENVIRONMENT).environment),
            f"--web.listen-address={LOOPBACK}:{settings.ports.prometheus_port}"]  # fmt: skip
