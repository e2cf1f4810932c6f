"""Alertmanager's webhook, version 4, as typed values.

Unknown fields are accepted: a newer Alertmanager must not be refused.
Source: Alertmanager documentation, "Configuration", webhook_config.
"""

from __future__ import annotations

from typing import Literal

import msgspec

WATCHDOG = "Watchdog"


class Alert(msgspec.Struct, rename="camel"):
    """One alert of a notification. Times as Alertmanager writes them (RFC 3339)."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    fingerprint: str


class Notification(msgspec.Struct, rename="camel"):
    """What one POST brings."""

    version: str
    group_key: str
    status: Literal["firing", "resolved"]
    receiver: str
    alerts: list[Alert]


def decode(body: bytes) -> Notification:
    """The notification in a request's body; raises msgspec.DecodeError that names the field."""
    return msgspec.json.decode(body, type=Notification)


def is_watchdog(alert: Alert) -> bool:
    """The alert that always fires, so that its absence is noticed."""
    return alert.labels.get("alertname") == WATCHDOG
