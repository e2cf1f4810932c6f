"""Redis as Debian's exporter (1.45) tells of it."""

from __future__ import annotations

from monitoring.signals.kinds import Counter, Gauge

JOB = "redis"

UP = Gauge("redis_up", "1 while the exporter reaches Redis")
CLIENTS = Gauge("redis_connected_clients", "Clients connected")
BLOCKED = Gauge("redis_blocked_clients", "Clients that wait in a blocking command")
MAX_CLIENTS = Gauge("redis_config_maxclients", "Clients that may connect")
REJECTED = Counter("redis_rejected_connections_total", "Connections refused at the limit")
MEMORY = Gauge("redis_memory_used_bytes", "Memory in use", "bytes")
RESIDENT = Gauge("redis_memory_used_rss_bytes", "Memory as the system counts it", "bytes")
EVICTED = Counter("redis_evicted_keys_total", "Keys thrown out for lack of memory")
EXPIRED = Counter("redis_expired_keys_total", "Keys whose time was over")
KEYS = Gauge("redis_db_keys", "Keys", labels={"db": ()})
COMMANDS = Counter("redis_commands_total", "Commands by name", labels={"cmd": ()})
COMMAND_TIME = Counter("redis_commands_duration_seconds_total", "Time spent in commands", "s", {"cmd": ()})
CHANNELS = Gauge("redis_pubsub_channels", "Channels somebody listens to")
RECEIVED = Counter("redis_net_input_bytes_total", "Bytes received", "bytes")
SENT = Counter("redis_net_output_bytes_total", "Bytes sent", "bytes")
SLOW_LOG = Gauge("redis_slowlog_length", "Entries in the slow log")
