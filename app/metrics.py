"""Every metric of the messenger, declared once; hot paths count in plain numbers.

`CATALOGUE` is the declaration: name, kind, labels and the label values that exist
from the start, so that a counter never appears out of nowhere (an `increase` over
a series born at 40 is 0). The code that counts holds a `Counter`, `Gauge` or
`Histogram` of this module: attribute access and integer addition, no lock, no
dictionary look-up by label. A collector turns them into the Prometheus exposition
when a scrape asks.

All recording happens on the gevent loop's thread, which is why no lock is needed.
"""

from __future__ import annotations

import bisect
import gc
import platform
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import psutil
from prometheus_client import CollectorRegistry, GCCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__

Kind = Literal["counter", "gauge", "histogram"]

PATHS = (
    "message", "receipt", "read", "read_sync", "typing", "presence", "device", "keys", "to_device", "call", "broadcast",
    "catch_up", "probe",
)  # fmt: skip
"""Everything that is fanned out to sockets; the `path` label. A read marker goes to the reader's other devices as
`read_sync`, which has an objective of its own, and to everybody else as `read`. Messages, receipts and read markers of
the monitoring's probes are `probe`: the users' objectives must not contain them."""

OF_USERS = frozenset({"message", "receipt", "read", "read_sync"})
"""The paths that hold nothing of probes."""

STAGES = ("validate", "commit", "publish", "relay", "write")
"""The stretches of one fan-out; the `stage` label."""

FANOUT_SLO_S = 0.25
"""The latency a delivery must not exceed; a bucket bound lies exactly here (the SLI counts that bucket)."""

READ_SYNC_SLO_S = 2.0
"""Within it a read marker must be on the reader's other devices; a bound of the same histogram."""

LATENCY_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, FANOUT_SLO_S, 0.5, 1.0, READ_SYNC_SLO_S, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
FINE_BUCKETS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
OUTCOMES = ("ok", "client_error", "server_error")
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True)
class Spec:
    """One metric: what the exposition says of it, and which children it is born with."""

    name: str
    kind: Kind
    help: str
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


class Counter:
    """One child that only grows, or is asked for at scrape time through `read`."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None

    def add(self, n: float = 1) -> None:
        self.value += n

    def current(self) -> float:
        return self.value if self.read is None else self.read()


class Gauge:
    """One child that is set, or asked for at scrape time through `read`."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def current(self) -> float:
        return self.value if self.read is None else self.read()


class Histogram:
    """One child with fixed bounds; `observe(x, n)` weighs one value by the n deliveries it stands for."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, n: int = 1) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += n
        self.total += value * n

    def count(self) -> int:
        """Everything observed so far."""
        return sum(self.counts)

    def above(self, bound: float) -> int:
        """What was observed above one of the bounds."""
        return sum(self.counts[self.bounds.index(bound) + 1 :])


class NullCounter(Counter):
    """Counts nothing."""

    __slots__ = ()

    def add(self, n: float = 1) -> None:
        """Nothing."""


class NullHistogram(Histogram):
    """Observes nothing."""

    __slots__ = ()

    def observe(self, value: float, n: int = 1) -> None:
        """Nothing."""


Child = Counter | Gauge | Histogram

CATALOGUE: tuple[Spec, ...] = (
    Spec("ws_connections_active", "gauge", "WebSocket connections open on this node."),
    Spec("messenger_ws_connects_total", "counter", "WebSocket handshakes and sign-ins by how they ended.",
         {"result": ("accepted", "refused", "unauthenticated")}),
    Spec("messenger_ws_closes_total", "counter", "WebSocket connections closed, by close code.",
         {"code": ("1000", "1001", "1002", "1003", "1006", "1007", "1008", "1009", "1011", "1012", "1013",
                   "4008", "4401", "4402", "4408", "4409", "other")}),
    Spec("messenger_ws_send_queue_bytes", "gauge", "Bytes waiting in this node's outbound queues."),
    Spec("messenger_fanout_owed_total", "counter",
         "Deliveries owed: one per connected device that must hear of an event, counted when the event is committed, "
         "or once it is overdue without a commit.", {"path": PATHS}),
    Spec("messenger_fanout_latency_seconds", "histogram",
         "From receiving an event to handing it to the recipient's socket, weighed by deliveries.",
         {"path": PATHS}, LATENCY_BUCKETS_S),
    Spec("messenger_fanout_stage_seconds", "histogram", "Time an event spends in each stage of fan-out.",
         {"path": PATHS, "stage": STAGES}, FINE_BUCKETS_S),
    Spec("messenger_fanout_delivered_total", "counter",
         "Deliveries handed to the recipient's socket.", {"path": PATHS}),
    Spec("messenger_fanout_late_total", "counter",
         "Deliveries that came to the recipient's socket later than the SLO allows.", {"path": PATHS}),
    Spec("messenger_fanout_dropped_total", "counter",
         "Frames that may be dropped and were, because their listener reads too slowly.", {"path": PATHS}),
    Spec("messenger_fanout_errors_total", "counter",
         "Events that could not be stored, told to the other nodes, or handed to a listener that went away; "
         "the log makes good what the bus could not.",
         {"path": PATHS, "stage": ("commit", "publish", "write")}),
    Spec("messenger_fanout_gaps_total", "counter",
         "Events that came before an earlier one of their conversation and had to wait for it."),
    Spec("messenger_fanout_waiting", "gauge", "Deliveries of large fan-outs that are still to be sent."),
    Spec("messenger_fanout_recovered_total", "counter",
         "Events that the log of commits brought because the bus had not.", {"path": PATHS}),
    Spec("messenger_fanout_clock_skew_total", "counter",
         "Events whose latency came out negative, because two nodes' clocks differ."),
    Spec("messenger_deliveries_settled_total", "counter",
         "Owed message deliveries whose 30 seconds are over, to devices of users connected all the while."),
    Spec("messenger_deliveries_confirmed_total", "counter", "Settled deliveries that the device had acknowledged."),
    Spec("messenger_send_retransmits_total", "counter",
         "Sends that repeated an id which was stored already: the client had not heard the ack."),
    Spec("messenger_requests_total", "counter", "HTTP requests and socket commands of users by outcome.",
         {"transport": ("http", "ws"), "outcome": OUTCOMES}),
    Spec("messenger_database_query_seconds", "histogram", "Time of one transaction, waiting for a connection included.",
         buckets=FINE_BUCKETS_S),
    Spec("messenger_redis_command_seconds", "histogram", "Time of one Redis publish.", buckets=FINE_BUCKETS_S),
    Spec("messenger_loop_lag_seconds", "histogram", "How late the event loop came back to a timer.",
         buckets=FINE_BUCKETS_S),
    Spec("messenger_gc_pause_seconds", "histogram", "Time one garbage collection held the process.",
         buckets=FINE_BUCKETS_S),
    Spec("messenger_send_batch_rows", "histogram", "Messages in one commit.", buckets=BATCH_BUCKETS),
    Spec("messenger_hello_batch_rows", "histogram", "Devices signed in by one database call.", buckets=BATCH_BUCKETS),
    Spec("messenger_send_queue_length", "gauge", "Messages waiting to be committed."),
    Spec("messenger_database_pool_waiting", "gauge", "Greenlets waiting for a database connection."),
    Spec("messenger_database_connected", "gauge",
         "1 while the database answers: 0 from a call that could not reach it until the next that could."),
    Spec("messenger_backup_timestamp_seconds", "gauge",
         "When the last backup of the database was taken (Unix time); 0: never, or not asked yet."),
    Spec("messenger_bus_connected", "gauge",
         "1 while this node hears and tells the other nodes on every shard of the bus (always 1 without Redis)."),
    Spec("messenger_bus_dropped_total", "counter", "Frames the bus did not carry; the log makes them good."),
    Spec("messenger_bus_unreadable_total", "counter",
         "What other nodes published and this one could not read: a batch, its version, or one frame of it.",
         {"reason": ("batch", "version", "frame")}),
    Spec("messenger_log_lag_seconds", "gauge", "Time since the log of commits was last read to its end."),
    Spec("messenger_sessions_revoked_total", "counter", "Connections closed because their device was revoked."),
    Spec("messenger_sessions_displaced_total", "counter", "Connections closed because their device connected anew."),
    Spec("messenger_revocation_seconds", "histogram",
         "From revoking a device to closing its connection.", buckets=LATENCY_BUCKETS_S),
    Spec("messenger_keys_claimed_total", "counter",
         "Keys that were asked for: one-time keys, fallback keys of devices that had run out, and none at all.",
         {"key": ("one_time", "fallback", "none")}),
    Spec("messenger_links_total", "counter", "Steps of linking a new device, and tries that failed.",
         {"step": ("offered", "claimed", "confirmed", "refused", "completed", "wrong", "expired")}),
    Spec("messenger_calls_total", "counter", "Calls, by what became of them.",
         {"event": ("invited", "connected", "rejected", "cancelled", "hung_up", "glare")}),
    Spec("messenger_media_uploads_total", "counter",
         "Attachments that were uploaded whole: stored, or refused because they were not what was promised.",
         {"outcome": ("stored", "refused")}),
    Spec("messenger_media_bytes_total", "counter", "Bytes of media taken in and given out by this node.",
         {"direction": ("in", "out")}),
    Spec("messenger_fault_active", "gauge", "1 while a fault switch is on (development only).",
         {"fault": ("fanout_delay", "fanout_stall", "refuse_sends", "refuse_connects", "drop_every")}),
    Spec("messenger_build_info", "gauge", "Constant 1, labelled with the running version.",
         {"version": (__version__,), "python": (platform.python_version(),)}),
)  # fmt: skip

PROCESS_METRICS: dict[str, Kind] = {
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_virtual_memory_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "process_start_time_seconds": "gauge",
    "python_gc_collections_total": "counter",
}
"""What stands beside the catalogue on each node, for those who check metric names."""


class Metrics(Collector):
    """The live numbers of one node: every child of the catalogue, at zero from the start."""

    def __init__(self, *, recording: bool = True) -> None:
        """`recording=False`: counters and histograms that stay at zero, to measure what recording costs."""
        self._children: dict[str, dict[tuple[str, ...], Child]] = {
            spec.name: _children(spec, recording) for spec in CATALOGUE
        }
        for path in PATHS:
            latency = self.histogram("messenger_fanout_latency_seconds", path)
            self.counter("messenger_fanout_delivered_total", path).read = latency.count
            self.counter("messenger_fanout_late_total", path).read = partial(latency.above, FANOUT_SLO_S)
        self.gauge("messenger_build_info", __version__, platform.python_version()).set(1)

    def counter(self, name: str, *labels: str) -> Counter:
        """The child of a declared counter; KeyError when it was not declared."""
        child = self._children[name][labels]
        assert isinstance(child, Counter)  # noqa: S101  the catalogue is ours: a wrong kind is a programming error
        return child

    def gauge(self, name: str, *labels: str) -> Gauge:
        """The child of a declared gauge; KeyError when it was not declared."""
        child = self._children[name][labels]
        assert isinstance(child, Gauge)  # noqa: S101
        return child

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The child of a declared histogram; KeyError when it was not declared."""
        child = self._children[name][labels]
        assert isinstance(child, Histogram)  # noqa: S101
        return child

    def children(self, spec: Spec) -> Iterable[tuple[tuple[str, ...], Child]]:
        """Every child of a metric, with its label values in the order of `spec.labels`."""
        return self._children[spec.name].items()

    def collect(self) -> Iterator[Metric]:
        """Everything as prometheus_client's values; a node's scrapes are rendered by `app.exposition`."""
        for spec in CATALOGUE:
            yield _family(spec, self.children(spec))


def requests_of(metrics: Metrics, transport: str) -> dict[bool, dict[str, Counter]]:
    """`messenger_requests_total` of one transport: by whether a probe asks, then by outcome.

    Those of probes are in no catalogue, so nobody scrapes them: the metric is the users' alone.
    """
    users = {name: metrics.counter("messenger_requests_total", transport, name) for name in OUTCOMES}
    return {False: users, True: {name: Counter() for name in OUTCOMES}}


def outcome_of(status: int) -> str:
    """Which outcome an HTTP status is."""
    if status >= 500:
        return "server_error"
    return "ok" if status < 400 else "client_error"


def path_of(path: str, *, probe: bool) -> str:
    """The `path` under which something is counted that a user or a probe caused."""
    return "probe" if probe and path in OF_USERS else path


def _children(spec: Spec, recording: bool) -> dict[tuple[str, ...], Child]:
    def make() -> Child:
        if spec.kind == "counter":
            return Counter() if recording else NullCounter()
        if spec.kind == "gauge":
            return Gauge()
        return Histogram(spec.buckets) if recording else NullHistogram(spec.buckets)

    return {values: make() for values in product(*spec.labels.values())}


def _family(spec: Spec, children: Iterable[tuple[tuple[str, ...], Child]]) -> Metric:
    names = list(spec.labels)
    if spec.kind == "histogram":
        histograms = HistogramMetricFamily(spec.name, spec.help, labels=names)
        for values, child in children:
            assert isinstance(child, Histogram)  # noqa: S101
            running, buckets = 0, []
            for bound, count in zip((*child.bounds, float("inf")), child.counts, strict=True):
                running += count
                buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(running)))
            histograms.add_metric(list(values), buckets, child.total)
        return histograms
    family: CounterMetricFamily | GaugeMetricFamily
    if spec.kind == "counter":
        family = CounterMetricFamily(spec.name, spec.help, labels=names)
    else:
        family = GaugeMetricFamily(spec.name, spec.help, labels=names)
    for values, child in children:
        assert not isinstance(child, Histogram)  # noqa: S101
        family.add_metric(list(values), child.current())
    return family


class ProcessMetrics(Collector):
    """The process, under the names every Prometheus client uses.

    prometheus_client's own collector lists /proc/self/fd to count descriptors: with 17,000 connections that
    holds the event loop for 13 ms at each scrape. The kernel (Linux 6.2 and newer) tells the number for nothing.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """What a scrape sees."""
        with self._process.oneshot():
            memory, cpu = self._process.memory_info(), self._process.cpu_times()
            started_at = self._process.create_time()
        descriptors = Path("/proc/self/fd").stat().st_size or self._process.num_fds()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        yield CounterMetricFamily("process_cpu_seconds_total", "User and system CPU time spent.", cpu.user + cpu.system)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", memory.rss)
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory.", memory.vms)
        yield GaugeMetricFamily("process_open_fds", "Open file descriptors.", descriptors)
        yield GaugeMetricFamily("process_max_fds", "Open file descriptors that are allowed.", limit)
        yield GaugeMetricFamily("process_start_time_seconds", "When the process began, Unix time.", started_at)


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """A registry that exposes one node's numbers and its process, nothing global."""
    registry = CollectorRegistry()
    registry.register(metrics)
    registry.register(ProcessMetrics())
    GCCollector(registry=registry)
    return registry


def watch_gc_pauses(histogram: Histogram) -> Callable[[], None]:
    """Measure each collection until the returned function is called."""
    started = 0.0

    def note(phase: str, _info: dict[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        else:
            histogram.observe(time.perf_counter() - started)

    gc.callbacks.append(note)
    return lambda: gc.callbacks.remove(note)
