"""The composition root: every object of a node is made and wired here, and nowhere else."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gevent
from flask import Flask

from app.config import Config
from app.errors import AppError
from app.http import admin, auth, base, conversations, devices, health
from app.metrics import Metrics
from app.realtime import upkeep
from app.realtime.arrivals import Arrivals
from app.realtime.bus import Bus, LocalBus
from app.realtime.bus.handover import hand_on, wanted_by
from app.realtime.bus.redis_bus import RedisBus
from app.realtime.committer import Committer
from app.realtime.cursors import Cursors
from app.realtime.fanout import Fanout
from app.realtime.faults import Faults
from app.realtime.gateway import Gateway
from app.realtime.hub import Hub
from app.realtime.joiner import WORKERS as JOINERS
from app.realtime.joiner import Joiner
from app.realtime.outlet import Outlet
from app.realtime.reconciler import Reconciler
from app.realtime.session import Gatekeeper
from app.realtime.settlement import Settlement
from app.services.accounts import Accounts
from app.services.conversations import Conversations
from app.services.devices import Devices
from app.services.messages import Messages
from app.services.throttle import Throttle
from app.services.tokens import Tokens
from app.store.db import Database

MAX_LOG_LAG_S = 10.0
RELAXED_POOL_SIZE = 2
STOP_S = 5.0


@dataclass
class Node:
    """One node, wired but not running; `serve` starts its parts and stops them."""

    app: Flask
    metrics: Metrics
    gatekeeper: Gatekeeper
    gateway: Gateway
    committer: Committer
    cursors: Cursors
    reconciler: Reconciler
    bus: Bus
    databases: tuple[Database, ...]
    parts: dict[str, Callable[[], None]]
    greenlets: list[Any] = field(default_factory=list)

    def start(self) -> None:
        """Start every part. Raises Unavailable when the database cannot be reached."""
        self.reconciler.start()
        self.greenlets = [gevent.spawn(upkeep.forever(name, run)) for name, run in self.parts.items()]

    def stop(self) -> None:
        """Stop every part, after the last cursors are written."""
        gevent.killall(self.greenlets, timeout=STOP_S)
        with suppress(AppError):  # clients repeat their cursors when they come back
            self.cursors.flush()
        self.bus.close()
        for database in self.databases:
            database.close()


def create_node(config: Config) -> Node:
    """A node for this configuration; opens no connection yet."""
    metrics = Metrics()
    db = Database(config.database_url, config.database_pool_size, metrics)
    relaxed = Database(config.database_url, RELAXED_POOL_SIZE, metrics, relaxed=True)
    tokens = Tokens(config.jwt_secret, config.access_token_ttl_s)
    accounts = Accounts(db, tokens, config.refresh_token_ttl_s)
    messages = Messages(db, relaxed)
    own_devices = Devices(db)

    faults = Faults(metrics, allowed=not config.production)
    fanout = Fanout(metrics, faults)
    hub = Hub(metrics, fanout)
    # Not NODE_ID: two nodes that were given the same one would not hear each other.
    instance = str(uuid.uuid4())
    carrier = _bus(config, hub, metrics, instance)
    outlet = Outlet(hub, fanout, carrier)
    committer = Committer(messages, hub, outlet, metrics, faults)
    joiner = Joiner(messages, hub)
    arrivals = Arrivals(messages, hub, joiner, metrics, config.beat_s)
    cursors = Cursors(messages, outlet, metrics)
    settlement = Settlement(hub, metrics)
    gatekeeper = Gatekeeper(
        tokens=tokens,
        hub=hub,
        fanout=fanout,
        committer=committer,
        arrivals=arrivals,
        joiner=joiner,
        cursors=cursors,
        outlet=outlet,
        settlement=settlement,
        metrics=metrics,
        send_rate_per_s=config.send_rate_per_s,
        beat_s=config.beat_s,
    )
    reconciler = Reconciler(
        messages, hub, settlement, metrics, partial(upkeep.take_epoch, arrivals, cursors, settlement, hub)
    )
    gateway = Gateway(gatekeeper, tokens, metrics, faults, config.cors_origin, config.max_connections)
    metrics.gauge("messenger_bus_connected").read = lambda: float(carrier.connected)

    app = Flask("app", static_folder=None)
    base.install(app, config, metrics)
    gateway.init_app(app)
    for path in ("/ws", "/calls"):
        gateway.route(path)(gatekeeper.welcome)
    app.register_blueprint(auth.blueprint(accounts, Throttle(config.auth_attempts_per_minute), config))
    app.register_blueprint(conversations.blueprint(accounts, Conversations(db, outlet.entries)))
    app.register_blueprint(devices.blueprint(accounts, own_devices))
    app.register_blueprint(admin.blueprint(config, outlet.broadcast, faults.switch))
    app.register_blueprint(
        health.blueprint(
            config.node_id,
            needed={
                "drain": lambda: "this node is going away" if gateway.draining else None,
                "log": lambda: _log_problem(reconciler),
            },
            helpful={"bus": carrier.problem},
        )
    )
    parts = {
        "bus": carrier.run,
        "arrivals": arrivals.run,
        "committer": committer.run,
        "overdue": committer.watch,
        "cursors": cursors.run,
        "overdue reads": cursors.watch,
        "fan-out": fanout.run,
        "reconciler": reconciler.run,
        "gaps": reconciler.mend_gaps,
        "faults": faults.run,
        "beat": lambda: upkeep.beat(gatekeeper, config.beat_s),
        "settle": lambda: upkeep.settle(settlement),
        "lag": lambda: upkeep.measure_loop_lag(metrics),
        "collections": lambda: upkeep.keep_collections_short(gatekeeper),
        "housekeeping": lambda: upkeep.housekeeping(accounts, own_devices),
    }
    parts |= {f"joiner {n}": joiner.run for n in range(JOINERS)}
    return Node(app, metrics, gatekeeper, gateway, committer, cursors, reconciler, carrier, (db, relaxed), parts)


def _bus(config: Config, hub: Hub, metrics: Metrics, instance: str) -> Bus:
    if not config.redis_url:
        return LocalBus()
    heard = partial(hand_on, hub)
    return RedisBus(config.redis_url, config.bus_shards, instance, heard, wanted_by(hub), metrics)


def _log_problem(reconciler: Reconciler) -> str | None:
    lag_s = reconciler.lag_s()
    return f"the log of commits was last read {lag_s:.0f} s ago" if lag_s > MAX_LOG_LAG_S else None
