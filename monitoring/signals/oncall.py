"""What on-call, Prometheus and Alertmanager say of the way an alert takes."""

from __future__ import annotations

from monitoring.signals.kinds import Counter, Gauge, Histogram

JOB = "oncall"
PROMETHEUS_JOB = "prometheus"
ALERTMANAGER_JOB = "alertmanager"

NOTIFICATIONS = Counter(
    "oncall_notifications_total",
    "Webhook calls by result",
    labels={"result": ("stored", "unauthenticated", "invalid", "store_failed")},
)
DELAY = Histogram(
    "oncall_alert_delay_seconds",
    "From when an alert began to fire to its first receipt",
    "s",
    {"severity": ("page", "ticket", "other")},
)
FIRING = Gauge("oncall_alerts_firing", "Alerts whose last word was firing")
WATCHDOG = Gauge("oncall_watchdog_timestamp_seconds", "When the Watchdog was last heard, Unix time")

PROMETHEUS_EVALUATIONS = Counter("prometheus_rule_evaluations_total", "Rules evaluated")
PROMETHEUS_FAILURES = Counter("prometheus_rule_evaluation_failures_total", "Rules whose evaluation failed")
PROMETHEUS_DROPPED = Counter("prometheus_notifications_dropped_total", "Alerts that were not sent to Alertmanager")
ALERTMANAGER_SENT = Counter("alertmanager_notifications_total", "Notifications sent", labels={"integration": ()})
ALERTMANAGER_FAILED = Counter(
    "alertmanager_notifications_failed_total", "Notifications that failed", labels={"integration": ()}
)
