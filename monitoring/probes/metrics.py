"""The prober's own metrics, declared once; every child exists at zero from the start."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OUTCOMES = ("delivered", "late", "lost", "duplicate", "reordered", "corrupted", "send_failed")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

CATALOGUE: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "messenger_probe_canaries_total": ("counter", {"outcome": OUTCOMES}),
    "messenger_probe_latency_seconds": ("histogram", {}),
    "messenger_probe_skipped_total": ("counter", {}),
    "messenger_probe_heartbeat_timestamp_seconds": ("gauge", {}),
}
"""Name → (kind, label values): what rules and boards may rely on."""


class ProbeMetrics:
    """The live numbers of one prober."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._canaries = Counter(
            "messenger_probe_canaries", "Canary messages by how they ended.", ["outcome"], registry=self.registry
        )
        self.latency = Histogram(
            "messenger_probe_latency_seconds",
            "From the intended send of a canary to its arrival at the other device.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.skipped = Counter(
            "messenger_probe_skipped", "Probe runs that could not start in time.", registry=self.registry
        )
        self.heartbeat = Gauge(
            "messenger_probe_heartbeat_timestamp_seconds",
            "When the prober last ran (Unix time).",
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            self._canaries.labels(outcome)

    def ended(self, outcome: str) -> None:
        """A canary has come to its end."""
        self._canaries.labels(outcome).inc()
