"""alertmanager.yml: who hears what, and what stays quiet because something louder speaks.

Inhibition compares labels, and a label missing on both sides counts as equal: without
the `slo_id=~".+"` matchers a platform page would silence every other platform ticket.
"""

from __future__ import annotations

from typing import Any

from monitoring.config import AlertmanagerSettings, Config, Receiver
from monitoring.generatedyaml import dump, made_from

_SAME_SLO = ("service", "slo_id")
_HAS_SLO = 'slo_id=~".+"'


def arguments() -> list[str]:
    """The flags Alertmanager must be started with, beside the paths of its files.

    Alone it needs no cluster; a kill between two snapshots loses the silences of
    that time, so they are taken each minute.
    """
    return ["--cluster.listen-address=", "--data.maintenance-interval=1m"]


def configuration(config: Config) -> bytes:
    """alertmanager.yml of one environment."""
    settings, receivers = config.environment.alertmanager, config.environment.receivers
    data = {
        "route": _routes(settings),
        "inhibit_rules": inhibitions(),
        "receivers": [
            _receiver("page", config, receivers.oncall),
            _receiver("ticket", config, receivers.oncall),
            _receiver("watchdog", config, receivers.watchdog or receivers.oncall),
        ],
    }
    flags = " ".join(arguments())
    return dump(data, made_from("monitoring.yaml"), f"Start Alertmanager, before Prometheus, with {flags}.")


def inhibitions() -> list[dict[str, Any]]:
    """One incident, one notification: page over ticket, the faster tier over the slower, of one SLO."""
    return [
        _inhibition(['severity="page"', _HAS_SLO], ['severity="ticket"', _HAS_SLO]),
        _inhibition(['tier="page-quick"', _HAS_SLO], ['tier="page-slow"', _HAS_SLO]),
        _inhibition(['tier="ticket-quick"', _HAS_SLO], ['tier="ticket-slow"', _HAS_SLO]),
    ]


def _inhibition(source: list[str], target: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": list(_SAME_SLO)}


def _routes(settings: AlertmanagerSettings) -> dict[str, Any]:
    beat = settings.watchdog_interval
    return {
        # An alert without a severity is somebody's mistake; as a ticket it is seen.
        "receiver": "ticket",
        "group_by": ["alertname", "service", "slo_id"],
        "group_wait": str(settings.group_wait),
        "group_interval": str(settings.group_interval),
        "repeat_interval": str(settings.repeat_interval),
        "routes": [
            {
                "receiver": "watchdog",
                "matchers": ['alertname="Watchdog"'],
                "group_wait": "0s",
                "group_interval": str(beat),
                # Just below the group's rhythm: equal, every second beat would be held back.
                "repeat_interval": f"{int(beat) * 900}ms",
            },
            {"receiver": "page", "matchers": ['severity="page"']},
            {"receiver": "ticket", "matchers": ['severity="ticket"']},
        ],
    }


def _receiver(name: str, config: Config, receiver: Receiver) -> dict[str, Any]:
    webhook: dict[str, Any] = {"url": receiver.url, "send_resolved": True}
    if receiver.credentials_file:
        credentials = {"type": "Bearer", "credentials_file": str(config.resolve(receiver.credentials_file))}
        webhook["http_config"] = {"authorization": credentials}
    return {"name": name, "webhook_configs": [webhook]}
