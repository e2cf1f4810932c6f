"""Sockets and what flows through them.

The way of a message: `gateway` (who may come) and `upgrade` (handshake) → `connection` (frames) → `session`
(commands) → `committer` (one commit for many) → `outlet` → `hub` (order, subscribers) → `fanout` (sends) → sockets,
and `bus` (other nodes). `arrivals` signs devices in by the batch; `joiner` brings one that was away up to date.
`reconciler` reads the log of commits and makes good whatever the bus lost. `cursors` records what devices
acknowledged, `settlement` holds that against what they were owed; `upkeep` pings, times out and measures.

Who may touch what: libev read callbacks run in the hub greenlet and never wait, log or
lock. They hand work to the greenlets through unbounded-in-time but bounded-in-size queues.
"""
