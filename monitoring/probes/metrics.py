"""The prober's own metrics, declared once; every child exists at zero from the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitoring.probes.failures import FAILURES, OWN_FAULTS
from monitoring.probes.kinds.connect import PHASES
from monitoring.probes.settings import KINDS, SERVICE

OUTCOMES = ("delivered", "late", "lost", "duplicate", "reordered", "corrupted", "send_failed")
RUN_OUTCOMES = ("ok", "failed")
UPLOADS = ("ok", "failed")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0)
PIPELINE_SLO_S = 60.0
"""From a fault to a notification; a bucket bound of the runs lies exactly here."""
RUN_BUCKETS_S = (*BUCKETS_S, 45.0, PIPELINE_SLO_S, 120.0)
_ROUTE: dict[str, tuple[str, ...]] = {"source": (SERVICE,), "target": (SERVICE,)}
"""Without nodes in probes.yaml; else each of them."""

CATALOGUE: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "messenger_probe_canaries_total": ("counter", {"outcome": OUTCOMES} | _ROUTE),
    "messenger_probe_latency_seconds": ("histogram", {}),
    "messenger_probe_connects_total": ("counter", {"outcome": RUN_OUTCOMES}),
    "messenger_probe_connect_failures_total": ("counter", {"reason": FAILURES}),
    "messenger_probe_connect_phase_seconds": ("histogram", {"phase": PHASES}),
    "messenger_probe_runs_total": ("counter", {"probe": KINDS, "outcome": RUN_OUTCOMES}),
    "messenger_probe_failures_total": ("counter", {"probe": KINDS, "reason": FAILURES}),
    "messenger_probe_run_seconds": ("histogram", {"probe": KINDS}),
    "messenger_probe_own_faults_total": ("counter", {"probe": KINDS, "reason": OWN_FAULTS}),
    "messenger_probe_certificate_expiry_timestamp_seconds": ("gauge", {}),
    "messenger_probe_drill": ("gauge", {}),
    "messenger_probe_skipped_total": ("counter", {"probe": KINDS}),
    "messenger_probe_start_delay_seconds": ("histogram", {}),
    "messenger_probe_uploads_total": ("counter", {"result": UPLOADS}),
    "messenger_probe_heartbeat_timestamp_seconds": ("gauge", {}),
    "messenger_probe_settings_loaded": ("gauge", {}),
}
"""Name → (kind, label values): what rules and boards may rely on."""


class ProbeMetrics:
    """The live numbers of one prober."""

    def __init__(self, *, tls: bool = False, routes: Iterable[tuple[str, str]] = ((SERVICE, SERVICE),)) -> None:
        """`tls`: the messenger is reached over TLS, so there is a certificate whose end can be told."""
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"messenger_probe_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = BUCKETS_S) -> Histogram:
            return Histogram(f"messenger_probe_{name}", text, labels, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, where: CollectorRegistry | None = registry) -> Gauge:
            return Gauge(f"messenger_probe_{name}", text, registry=where)

        self._canaries = counter(
            "canaries", "Canary messages by how they ended and between which nodes.", "outcome", "source", "target"
        )
        self.latency = histogram(
            "latency_seconds", "From the intended send of a canary to its arrival at the other device."
        )
        self._connects = counter("connects", "Fresh connections by how they ended.", "outcome")
        self._connect_failures = counter("connect_failures", "Fresh connections that failed, by where.", "reason")
        self._phases = histogram("connect_phase_seconds", "Each step of a fresh connection that was made.", "phase")
        self._runs = counter("runs", "Runs by kind of probe and how they ended.", "probe", "outcome")
        self._failures = counter("failures", "Runs that failed, by where.", "probe", "reason")
        text = "What a run that went well took of what its promise is about."
        self._run_s = histogram("run_seconds", text, "probe", buckets=RUN_BUCKETS_S)
        self.drill = gauge("drill", "Above 0 while a drill is on, which then is an alert: its number.")
        self._own_faults = counter("own_faults", "Runs that say nothing of the messenger, by why.", "probe", "reason")
        self._skipped = counter("skipped", "Runs that could not start: as many as allowed were under way.", "probe")
        self.start_delay = histogram("start_delay_seconds", "How much later than meant a run started.")
        self._uploads = counter("uploads", "Uploads of the ledger by result.", "result")
        self.heartbeat = gauge("heartbeat_timestamp_seconds", "When the prober last ran (Unix time).")
        self.settings_loaded = gauge("settings_loaded", "1 while the prober goes by its settings as they are on disk.")
        # Without TLS there must be no such series: zero would be a certificate that ended in 1970.
        self.certificate_expiry = gauge(
            "certificate_expiry_timestamp_seconds",
            "When the messenger's certificate ends (Unix time).",
            registry if tls else None,
        )
        self._be_born(tuple(routes))

    def _be_born(self, routes: tuple[tuple[str, str], ...]) -> None:
        for outcome in OUTCOMES:
            for source, target in routes:
                self._canaries.labels(outcome, source, target)
        for outcome in RUN_OUTCOMES:
            self._connects.labels(outcome)
        for result in UPLOADS:
            self._uploads.labels(result)
        for phase in PHASES:
            self._phases.labels(phase)
        for reason in FAILURES:
            self._connect_failures.labels(reason)
        for kind in KINDS:
            self._skipped.labels(kind)
            self._run_s.labels(kind)
            for outcome in RUN_OUTCOMES:
                self._runs.labels(kind, outcome)
            for reason in FAILURES:
                self._failures.labels(kind, reason)
            for reason in OWN_FAULTS:
                self._own_faults.labels(kind, reason)

    def ended(self, outcome: str, source: str = SERVICE, target: str = SERVICE) -> None:
        """A canary has come to its end."""
        self._canaries.labels(outcome, source, target).inc()

    def uploaded(self, ok: bool) -> None:
        """The ledger was brought to the database, or could not be."""
        self._uploads.labels("ok" if ok else "failed").inc()

    def went_well(self, kind: str, took_s: float) -> None:
        """A run did what it was for."""
        self._runs.labels(kind, "ok").inc()
        self._run_s.labels(kind).observe(took_s)
        if kind == "connect":
            self._connects.labels("ok").inc()

    def failed(self, kind: str, reason: str) -> None:
        """A run failed there."""
        self._runs.labels(kind, "failed").inc()
        self._failures.labels(kind, reason).inc()
        if kind == "connect":
            self._connects.labels("failed").inc()
            self._connect_failures.labels(reason).inc()

    def own_fault(self, kind: str, reason: str) -> None:
        """A run says nothing of the messenger."""
        self._own_faults.labels(kind, reason).inc()

    def skipped(self, kind: str) -> None:
        """A run could not start."""
        self._skipped.labels(kind).inc()

    def phase(self, name: str, took_s: float) -> None:
        """A step of a fresh connection was made."""
        self._phases.labels(name).observe(took_s)
