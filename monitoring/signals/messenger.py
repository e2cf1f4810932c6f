"""The messenger's signals, as far as boards and alerts use them.

The names repeat what the messenger declares, since the platform does not import it;
a contract test holds the two together: name, kind, labels and label values.
"""

from __future__ import annotations

from monitoring.signals.kinds import Counter, Gauge, Histogram

JOB = "secure-messenger"
"""The scrape job of the messenger's nodes."""

PROBE_JOB = "messenger-probe"
"""The scrape job of the probes."""

_PATHS = (
    "message", "receipt", "read", "read_sync", "typing", "presence", "device", "keys", "to_device", "call", "broadcast",
    "catch_up", "probe",
)  # fmt: skip
_STAGES = ("validate", "commit", "publish", "relay", "write")

UP = Gauge("up", "1 while Prometheus can scrape the target")
CONNECTIONS = Gauge("ws_connections_active", "WebSocket connections open on a node")
CONNECTS = Counter(
    "messenger_ws_connects_total",
    "Handshakes and sign-ins",
    labels={"result": ("accepted", "refused", "unauthenticated")},
)
CLOSES = Counter(
    "messenger_ws_closes_total",
    "Connections closed",
    labels={"code": ("1000", "1001", "1002", "1003", "1006", "1007", "1008", "1009", "1011", "1012", "1013",
                     "4008", "4401", "4402", "4408", "4409", "other")},
)  # fmt: skip
FANOUT_OWED = Counter("messenger_fanout_owed_total", "Deliveries owed", labels={"path": _PATHS})
FANOUT_LATENCY = Histogram(
    "messenger_fanout_latency_seconds", "From receiving an event to the recipient's socket", "s", {"path": _PATHS}
)
FANOUT_STAGE = Histogram(
    "messenger_fanout_stage_seconds", "Stretches of a fan-out", "s", {"path": _PATHS, "stage": _STAGES}
)
FANOUT_RECOVERED = Counter(
    "messenger_fanout_recovered_total", "Events the log brought because the bus had not", labels={"path": _PATHS}
)
CLOCK_SKEW = Counter("messenger_fanout_clock_skew_total", "Events that came before they were sent, by the clocks")
COMMITTED = Histogram("messenger_send_batch_rows", "Messages in one commit")
DELIVERIES_SETTLED = Counter("messenger_deliveries_settled_total", "Owed deliveries whose 30 s are over")
DELIVERIES_CONFIRMED = Counter("messenger_deliveries_confirmed_total", "Settled deliveries the device acknowledged")
REQUESTS = Counter(
    "messenger_requests_total",
    "HTTP requests and socket commands",
    labels={"transport": ("http", "ws"), "outcome": ("ok", "client_error", "server_error")},
)
DATABASE_TIME = Histogram("messenger_database_query_seconds", "One database call, waiting included", "s")
BACKED_UP = Gauge("messenger_backup_timestamp_seconds", "When the last backup was taken, Unix time; 0: never")
DATABASE_CONNECTED = Gauge("messenger_database_connected", "1 while the database answers a node")
POOL_WAITING = Gauge("messenger_database_pool_waiting", "Greenlets that wait for a database connection")
SEND_QUEUE_BYTES = Gauge("messenger_ws_send_queue_bytes", "Bytes waiting in a node's outbound queues", "bytes")
FANOUT_LATE = Counter("messenger_fanout_late_total", "Deliveries later than the SLO allows", labels={"path": _PATHS})
FANOUT_ERRORS = Counter(
    "messenger_fanout_errors_total",
    "Events that a stage could not handle",
    labels={"path": _PATHS, "stage": ("commit", "publish", "write")},
)
FANOUT_GAPS = Counter("messenger_fanout_gaps_total", "Events that had to wait for an earlier one")
FANOUT_WAITING = Gauge("messenger_fanout_waiting", "Deliveries of large fan-outs still to be sent")
RETRANSMITS = Counter("messenger_send_retransmits_total", "Sends that repeated an id which was stored already")
SEND_QUEUE = Gauge("messenger_send_queue_length", "Messages waiting to be committed")
HELLOS = Histogram("messenger_hello_batch_rows", "Devices signed in by one database call")
BUS_DROPPED = Counter("messenger_bus_dropped_total", "Frames the bus did not carry")
BUS_UNREADABLE = Counter(
    "messenger_bus_unreadable_total",
    "What other nodes published and a node could not read",
    labels={"reason": ("batch", "version", "frame")},
)
REVOKED = Counter("messenger_sessions_revoked_total", "Connections closed because their device was revoked")
KEYS_CLAIMED = Counter(
    "messenger_keys_claimed_total",
    "Keys that were asked for, by what was handed out",
    labels={"key": ("one_time", "fallback", "none")},
)
LINKS = Counter(
    "messenger_links_total",
    "Steps of linking a new device",
    labels={"step": ("offered", "claimed", "confirmed", "refused", "completed", "wrong", "expired")},
)
REVOCATION = Histogram("messenger_revocation_seconds", "From revoking a device to closing its connection", "s")
DISPLACED = Counter("messenger_sessions_displaced_total", "Connections closed because their device connected anew")
STARTED = Gauge("process_start_time_seconds", "When the process began, Unix time")
REDIS_TIME = Histogram("messenger_redis_command_seconds", "One Redis publish", "s")
LOOP_LAG = Histogram("messenger_loop_lag_seconds", "How late the event loop came back to a timer", "s")
GC_PAUSE = Histogram("messenger_gc_pause_seconds", "One garbage collection", "s")
BUS_CONNECTED = Gauge("messenger_bus_connected", "1 while the node hears the other nodes")
LOG_LAG = Gauge("messenger_log_lag_seconds", "Time since the log of commits was read to its end", "s")
CPU = Counter("process_cpu_seconds_total", "CPU time of the process")
MEMORY = Gauge("process_resident_memory_bytes", "Memory of the process", "bytes")
OPEN_DESCRIPTORS = Gauge("process_open_fds", "Descriptors the process has open")
MAX_DESCRIPTORS = Gauge("process_max_fds", "Descriptors it may have")

_KINDS = (
    "canary", "connect", "health", "login", "catch_up", "read_sync", "revoke", "link", "keys", "media", "call",
    "broadcast", "alerts",
)  # fmt: skip
_FAILURES = ("dns", "tcp", "tls", "upgrade", "auth", "timeout", "close", "refused", "wrong")

_WAYS = ("messenger",)
"""Or the names of the nodes."""

PROBE_CANARIES = Counter(
    "messenger_probe_canaries_total",
    "Canary messages by how they ended",
    labels={
        "outcome": ("delivered", "late", "lost", "duplicate", "reordered", "corrupted", "send_failed"),
        "source": _WAYS,
        "target": _WAYS,
    },
)
PROBE_LATENCY = Histogram("messenger_probe_latency_seconds", "From intended send to arrival at the other client", "s")
PROBE_CONNECTS = Counter(
    "messenger_probe_connects_total", "Fresh connections by how they ended", labels={"outcome": ("ok", "failed")}
)
PROBE_CONNECT_FAILURES = Counter(
    "messenger_probe_connect_failures_total",
    "Fresh connections that failed, by where",
    labels={"reason": _FAILURES},
)
PROBE_PHASES = Histogram(
    "messenger_probe_connect_phase_seconds",
    "Each step of a fresh connection",
    "s",
    labels={"phase": ("auth", "dns", "tcp", "tls", "upgrade", "welcome")},
)
PROBE_RUNS = Counter(
    "messenger_probe_runs_total",
    "Runs of probes by how they ended",
    labels={"probe": _KINDS, "outcome": ("ok", "failed")},
)
PROBE_FAILURES = Counter(
    "messenger_probe_failures_total", "Runs that failed, by where", labels={"probe": _KINDS, "reason": _FAILURES}
)
PROBE_RUN_TIME = Histogram(
    "messenger_probe_run_seconds", "What a run took of what its promise is about", "s", labels={"probe": _KINDS}
)
PROBE_OWN_FAULTS = Counter(
    "messenger_probe_own_faults_total",
    "Runs that say nothing of the messenger",
    labels={"probe": _KINDS, "reason": ("starved", "resources", "limited", "bug")},
)
PROBE_SKIPPED = Counter(
    "messenger_probe_skipped_total", "Probe runs that could not start in time", labels={"probe": _KINDS}
)
PROBE_START_DELAY = Histogram("messenger_probe_start_delay_seconds", "How much later than meant a run started", "s")
PROBE_CERTIFICATE_EXPIRY = Gauge(
    "messenger_probe_certificate_expiry_timestamp_seconds", "When the certificate ends, Unix time"
)
PROBE_DRILL = Gauge("messenger_probe_drill", "The number of the drill that is on, or 0")
PROBE_HEARTBEAT = Gauge("messenger_probe_heartbeat_timestamp_seconds", "When the probe last ran, Unix time")
