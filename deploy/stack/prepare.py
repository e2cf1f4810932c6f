"""What must lie on the disk before the processes start: folders, secrets, the stack's monitoring.yaml."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import yaml

from deploy.stack import surroundings
from deploy.stack.settings import PROJECT, Settings

ENVIRONMENT = "development"
DEMO_PEOPLE = ("alice", "bob", "carol")
SECRET_NAMES = ("jwt-secret", "admin-token", "webhook-token", "oncall-password", "demo-password", "probe-token")


def folders(settings: Settings) -> None:
    """Make the stack's folders; secrets are for the owner only."""
    for name in ("prometheus", "alertmanager", "redis"):
        (settings.folder / name).mkdir(parents=True, exist_ok=True)
    settings.logs.mkdir(exist_ok=True)
    settings.secrets.mkdir(mode=0o700, exist_ok=True)


def make_secrets(settings: Settings) -> dict[str, str]:
    """The stack's secrets by name, made on the first start and kept."""
    return {name: _keep(settings.secrets / name) for name in SECRET_NAMES}


def _keep(path: Path) -> str:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(36))
    return path.read_text()


def write_demo_accounts(settings: Settings, password: str) -> Path:
    """A file that tells demo traffic and `make token` who the demo people are and where."""
    path = settings.secrets / "demo.json"
    path.write_text(
        json.dumps({"url": settings.url, "proxy": settings.proxy_url, "people": DEMO_PEOPLE, "password": password})
    )
    path.chmod(0o600)
    return path


def write_ledger_url(settings: Settings, database_url: str) -> None:
    """A file that tells the prober where its ledger goes: the messenger's own database, in tables of its own."""
    path = settings.secrets / "ledger-url"
    path.write_text(database_url)
    path.chmod(0o600)


def write_monitoring_yaml(settings: Settings) -> None:
    """The configuration that this stack's rules, alerts and boards are generated from."""
    settings.monitoring_yaml.write_text(yaml.safe_dump(monitoring_config(settings), sort_keys=False))


def write_oncall_yaml(settings: Settings) -> None:
    """Who is called in this stack: the demo people, in the messenger, and ONCALL_HOOK when there is one."""
    ports = settings.ports
    ways: dict[str, Any] = {"messenger": {"messenger": {"url": settings.url, "state": "oncall-bot"}}}
    if settings.oncall_hook:
        ways["hook"] = {"hook": {"url": settings.oncall_hook}}
    told = {
        "people": {name: {"messenger": name} for name in DEMO_PEOPLE},
        "rotations": {"primary": {"people": list(DEMO_PEOPLE), "zone": "UTC", "since": "2026-01-05"}},
        "escalation": {
            "page": [{"tell": ["primary"], "by": list(ways)}],
            "ticket": [{"tell": ["primary"], "by": list(ways)}],
        },
        "ways": ways,
        "watchdog": {"within": "3m"},
        "prometheus": {"url": f"http://127.0.0.1:{ports.prometheus_port}"},
        "alertmanager": {"url": f"http://127.0.0.1:{ports.alertmanager_port}"},
        "page_url": f"http://127.0.0.1:{ports.oncall_port}",
    }
    if settings.oncall_hook:
        told["drills"] = {"by": ["hook"]}
    settings.oncall_yaml.write_text(yaml.safe_dump(told, sort_keys=False))


def write_probes_yaml(settings: Settings) -> None:
    """What is probed in this stack: everything but the broadcast, which all would see."""
    often = {"every": f"{settings.probe_interval_s}s"}
    told: dict[str, Any] = {
        "name": "here",
        "messenger": settings.url,
        "people": "secrets/probe.json",
        "token_file": "secrets/probe-token",
        "metrics": {"port": settings.ports.probe_metrics_port},
        "oncall": {
            "url": f"http://127.0.0.1:{settings.ports.oncall_port}",
            "name": "oncall",
            "password_file": "secrets/oncall-password",
        },
        "journal": {"folder": "canaries", "ledger_url_file": "secrets/ledger-url"},
        "probes": {
            "canary": often,
            "connect": often,
            "health": {"every": "10s"},
            "login": {"every": "1m"},
            "catch_up": {"every": "30s"},
            "read_sync": {"every": "15s"},
            "revoke": {"every": "1m"},
            "link": {"every": "5m"},
            "keys": {"every": "5m"},
            "media": {"every": "1m"},
            "call": {"every": "30s"},
            "alerts": {"every": "4m", "timeout": "2m"},
        },
    }
    if len(settings.ports.nodes) > 1:  # canaries over every pair of them
        told["nodes"] = {f"node{n}": f"http://127.0.0.1:{node.port}" for n, node in enumerate(settings.ports.nodes, 1)}
    settings.probes_yaml.write_text(yaml.safe_dump(told, sort_keys=False))


def monitoring_config(settings: Settings) -> dict[str, Any]:
    """The stack as monitoring.yaml describes it; monitoring/monitoring.yaml explains the keys."""
    ports, around = settings.ports, surroundings.there(settings)

    def here(port: int) -> str:
        return f"127.0.0.1:{port}"

    return {
        "service": "messenger",
        "specs": [str(PROJECT / "monitoring" / "slos")],
        "mixins": ["messenger", *(part.job for part in around)],
        "outputs": {"alerts": "alerts", "dashboards": "dashboards"},
        "links": {
            # Nothing serves the runbooks in development: read them in docs/runbooks.
            "runbooks": "http://localhost:3000/runbooks/",
            "dashboards": f"http://{here(ports.preview_port)}/d/",
        },
        "environments": {
            ENVIRONMENT: {
                "scrape_interval": settings.scrape_interval,
                "evaluation_interval": settings.scrape_interval,
                "window_divisor": settings.window_divisor,
                "jobs": {
                    "secure-messenger": [here(node.metrics_port) for node in ports.nodes],
                    "messenger-probe": [here(ports.probe_metrics_port)],
                    "oncall": [here(ports.oncall_port)],
                    "prometheus": [here(ports.prometheus_port)],
                    "alertmanager": [here(ports.alertmanager_port)],
                }
                | {part.job: [here(part.port)] for part in around},
                "prometheus": {
                    "url": f"http://{here(ports.prometheus_port)}",
                    "retention": "35d",
                    "resend_delay": "15s",
                },
                "alertmanager": {
                    "targets": [here(ports.alertmanager_port)],
                    "group_wait": settings.alertmanager_wait,
                    "group_interval": settings.alertmanager_wait,
                    "repeat_interval": "4h",
                    "watchdog_interval": "1m",
                },
                "receivers": {
                    "oncall": {
                        "url": f"http://{here(ports.oncall_port)}/alertmanager",
                        "credentials_file": str(settings.secrets / "webhook-token"),
                    }
                },
            }
        },
    }
