"""Sockets and what flows through them.

The way of a message: `gateway` (who may come) and `upgrade` (handshake) → `connection` (frames) → `session`
(commands) → `committer` (one commit for many) → `hub` (order, subscribers) → sockets,
and `bus` (other nodes). `reconciler` reads the log of commits and makes good whatever
the bus lost; `joiner` brings a device that was away up to date; `cursors` records what
devices acknowledged; `upkeep` pings, times out and measures.

Who may touch what: libev read callbacks run in the hub greenlet and never wait, log or
lock. They hand work to the greenlets through unbounded-in-time but bounded-in-size queues.
"""
