"""On-call's own metrics, declared once; every child exists at zero from the start.

`oncall_alert_delay_seconds` goes from the moment an alert began to fire (Prometheus' `startsAt`, its `for` already
over) to its receipt here. The objective of the alert pipeline does not read it but the drills of a prober, which come
whether anything fires or not. What it can tell and what not:

- Counted is an alert that is new here and whose whole notification is new. What joins a group that has been told
  already waits for `group_interval` on purpose: somebody is awake by then.
- Tickets are counted apart: Alertmanager holds them back while a page of the same SLO fires.
- An alert that never arrives is not counted at all. A drill is, and the Watchdog is missed.
- Drills are no pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitoring.oncall.webhook import Alert, Notification

RESULTS = ("stored", "unauthenticated", "invalid", "store_failed")
MESSAGES = ("taken", "failed")
SEVERITIES = ("page", "ticket", "other")
DELAY_BUCKETS_S = (1.0, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0, 3600.0)

CATALOGUE: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "oncall_notifications_total": ("counter", {"result": RESULTS}),
    "oncall_alert_delay_seconds": ("histogram", {"severity": SEVERITIES}),
    "oncall_alerts_firing": ("gauge", {}),
    "oncall_incidents_open": ("gauge", {}),
    "oncall_notifications_unsent": ("gauge", {}),
    "oncall_messages_total": ("counter", {"result": MESSAGES}),
    "oncall_heartbeats_total": ("counter", {"result": MESSAGES}),
    "oncall_watchdog_timestamp_seconds": ("gauge", {}),
}
"""Name → (kind, label values): what rules and boards may rely on."""


class OncallMetrics:
    """The live numbers of one receiver."""

    def __init__(
        self, firing: Callable[[], float], incidents: Callable[[], float], unsent: Callable[[], float]
    ) -> None:
        """Asked at each scrape: how many alerts fire by their last word, how many incidents are open, and how many
        notifications wait to be sent."""
        self.registry = CollectorRegistry()
        self._received = Counter("oncall_notifications", "Webhook calls by result.", ["result"], registry=self.registry)
        self._delay = Histogram(
            "oncall_alert_delay_seconds",
            "From when an alert began to fire to its first receipt.",
            ["severity"],
            buckets=DELAY_BUCKETS_S,
            registry=self.registry,
        )
        Gauge("oncall_alerts_firing", "Alerts whose last word was firing.", registry=self.registry).set_function(firing)
        Gauge("oncall_incidents_open", "Incidents that nobody resolved.", registry=self.registry).set_function(
            incidents
        )
        Gauge(
            "oncall_notifications_unsent",
            "Notifications that wait to be sent, or to be tried again.",
            registry=self.registry,
        ).set_function(unsent)
        self._messages = Counter(
            "oncall_messages", "Messages to people, by whether they were taken.", ["result"], registry=self.registry
        )
        self._heartbeats = Counter(
            "oncall_heartbeats", "Calls of the heartbeat address outside.", ["result"], registry=self.registry
        )
        self._watchdog = Gauge(
            "oncall_watchdog_timestamp_seconds",
            "When the Watchdog was last heard (Unix time); NaN: not since the start.",
            registry=self.registry,
        )
        self._watchdog.set(float("nan"))
        for result in RESULTS:
            self._received.labels(result)
        for result in MESSAGES:
            self._messages.labels(result)
            self._heartbeats.labels(result)
        for severity in SEVERITIES:
            self._delay.labels(severity)

    def said(self, result: str) -> None:
        """A webhook call was answered."""
        self._received.labels(result).inc()

    def message(self, taken: bool) -> None:
        """A message to people was taken, or was not."""
        self._messages.labels("taken" if taken else "failed").inc()

    def heartbeat(self, taken: bool) -> None:
        """The address outside answered, or did not."""
        self._heartbeats.labels("taken" if taken else "failed").inc()

    def watchdog_heard(self, now: float) -> None:
        """Alertmanager said that Prometheus lives; `now` in Unix seconds."""
        self._watchdog.set(now)

    def received(self, notification: Notification, new: Sequence[Alert], now: float) -> None:
        """A notification was stored; `new` are those of its alerts that were news. `now` in Unix seconds."""
        for severity, delay_s in delays(notification, new, now):
            self._delay.labels(severity).observe(delay_s)


def delays(notification: Notification, new: Sequence[Alert], now: float) -> Iterator[tuple[str, float]]:
    """(severity, seconds from its start to `now`) of each alert of a notification that is new as a whole."""
    if len(new) < len(notification.alerts) or any(alert.status != "firing" for alert in new):
        return
    for alert in new:
        severity = alert.labels.get("severity", "other")
        try:
            started = datetime.fromisoformat(alert.starts_at).timestamp()
        except ValueError:
            continue  # Alertmanager always writes RFC 3339
        # Two machines' clocks: an alert is never here before it began.
        yield severity if severity in SEVERITIES else "other", max(0.0, now - started)
