"""A machine as the node exporter tells of it."""

from __future__ import annotations

from monitoring.signals.kinds import Counter, Gauge

JOB = "host"

CPU = Counter(
    "node_cpu_seconds_total",
    "Time of each processor by what it did",
    "s",
    {"cpu": (), "mode": ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")},
)
LOAD = Gauge("node_load1", "Processes that run or wait, over a minute")
MEMORY = Gauge("node_memory_MemTotal_bytes", "Memory there is", "bytes")
AVAILABLE = Gauge("node_memory_MemAvailable_bytes", "Memory that can be had without swapping", "bytes")
OUT_OF_MEMORY = Counter("node_vmstat_oom_kill", "Processes killed for lack of memory")
DISK_BUSY = Counter("node_disk_io_time_seconds_total", "Time a disk was busy", "s", {"device": ()})
READ = Counter("node_disk_read_bytes_total", "Bytes read", "bytes", {"device": ()})
WRITTEN = Counter("node_disk_written_bytes_total", "Bytes written", "bytes", {"device": ()})
FREE = Gauge("node_filesystem_avail_bytes", "Room that can be had", "bytes", {"mountpoint": (), "fstype": ()})
ROOM = Gauge("node_filesystem_size_bytes", "Room there is", "bytes", {"mountpoint": (), "fstype": ()})
RECEIVED = Counter("node_network_receive_bytes_total", "Bytes received", "bytes", {"device": ()})
TRANSMITTED = Counter("node_network_transmit_bytes_total", "Bytes sent", "bytes", {"device": ()})
RECEIVE_DROPPED = Counter("node_network_receive_drop_total", "Packets dropped on arrival", labels={"device": ()})
TRANSMIT_DROPPED = Counter("node_network_transmit_drop_total", "Packets dropped on departure", labels={"device": ()})
DESCRIPTORS = Gauge("node_filefd_allocated", "Descriptors open")
MAX_DESCRIPTORS = Gauge("node_filefd_maximum", "Descriptors there may be")
BOOTED = Gauge("node_boot_time_seconds", "When it started, Unix time")
