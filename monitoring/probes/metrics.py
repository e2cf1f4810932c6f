"""The prober's own metrics, declared once; every child exists at zero from the start."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OUTCOMES = ("delivered", "late", "lost", "duplicate", "reordered", "corrupted", "send_failed")
CONNECT_OUTCOMES = ("ok", "failed")
FAILURES = ("dns", "tcp", "tls", "upgrade", "auth", "timeout", "close")
"""Where a connect failed: the name, the connection, its encryption, the handshake (refused), the token or the sign-in
(refused), the deadline, or an end before `welcome`."""
UPLOADS = ("ok", "failed")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

CATALOGUE: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "messenger_probe_canaries_total": ("counter", {"outcome": OUTCOMES}),
    "messenger_probe_latency_seconds": ("histogram", {}),
    "messenger_probe_connects_total": ("counter", {"outcome": CONNECT_OUTCOMES}),
    "messenger_probe_connect_failures_total": ("counter", {"reason": FAILURES}),
    "messenger_probe_certificate_expiry_timestamp_seconds": ("gauge", {}),
    "messenger_probe_skipped_total": ("counter", {}),
    "messenger_probe_uploads_total": ("counter", {"result": UPLOADS}),
    "messenger_probe_heartbeat_timestamp_seconds": ("gauge", {}),
}
"""Name → (kind, label values): what rules and boards may rely on."""


class ProbeMetrics:
    """The live numbers of one prober."""

    def __init__(self, *, tls: bool = False) -> None:
        """`tls`: the messenger is reached over TLS, so there is a certificate whose end can be told."""
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
        self._connects = Counter(
            "messenger_probe_connects", "Fresh connections by how they ended.", ["outcome"], registry=self.registry
        )
        self._connect_failures = Counter(
            "messenger_probe_connect_failures",
            "Fresh connections that failed, by where.",
            ["reason"],
            registry=self.registry,
        )
        self.skipped = Counter(
            "messenger_probe_skipped", "Probe runs that could not start in time.", registry=self.registry
        )
        self._uploads = Counter(
            "messenger_probe_uploads", "Uploads of the ledger by result.", ["result"], registry=self.registry
        )
        self.heartbeat = Gauge(
            "messenger_probe_heartbeat_timestamp_seconds",
            "When the prober last ran (Unix time).",
            registry=self.registry,
        )
        # Without TLS there must be no such series: zero would be a certificate that ended in 1970.
        self.certificate_expiry = Gauge(
            "messenger_probe_certificate_expiry_timestamp_seconds",
            "When the messenger's certificate ends (Unix time).",
            registry=self.registry if tls else None,
        )
        for outcome in OUTCOMES:
            self._canaries.labels(outcome)
        for outcome in CONNECT_OUTCOMES:
            self._connects.labels(outcome)
        for result in UPLOADS:
            self._uploads.labels(result)
        for reason in FAILURES:
            self._connect_failures.labels(reason)

    def ended(self, outcome: str) -> None:
        """A canary has come to its end."""
        self._canaries.labels(outcome).inc()

    def uploaded(self, ok: bool) -> None:
        """The ledger was brought to the database, or could not be."""
        self._uploads.labels("ok" if ok else "failed").inc()

    def connected(self) -> None:
        """A fresh connection was welcomed in time."""
        self._connects.labels("ok").inc()

    def connect_failed(self, reason: str) -> None:
        """A fresh connection failed there."""
        self._connects.labels("failed").inc()
        self._connect_failures.labels(reason).inc()
