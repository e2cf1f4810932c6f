"""The composition root: every object of a node is made and wired here, and nowhere else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from flask import Flask

from app.config import Config
from app.errors import AppError
from app.http import admin, auth, base, calls, conversations, devices, health, keys, links, media, openapi, web
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
from app.realtime.hub import Hub, Session
from app.realtime.joiner import WORKERS as JOINERS
from app.realtime.joiner import Joiner
from app.realtime.lobby import Lobby
from app.realtime.outlet import Outlet
from app.realtime.postman import Postman
from app.realtime.reconciler import Reconciler
from app.realtime.session import Gatekeeper
from app.realtime.settlement import Settlement
from app.realtime.switchboard import WORKERS as SWITCHBOARDS
from app.realtime.switchboard import Switchboard
from app.realtime.whereabouts import Whereabouts
from app.services.accounts import Accounts
from app.services.backups import LastBackup
from app.services.calls import Calls
from app.services.conversations import Conversations
from app.services.devices import Devices, LastSeen
from app.services.inbox import Inboxes, ToDevice
from app.services.keys import Keys
from app.services.links import Links
from app.services.media import Media
from app.services.messages import Messages
from app.services.throttle import Throttle
from app.services.tokens import Tokens
from app.storage import Storage
from app.storage.disk import DiskStorage
from app.storage.revocations import RevocationJournal
from app.store.db import Database

MAX_LOG_LAG_S = 10.0
LOOK_FOR_BACKUPS_S = 60.0
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
    reconciler: Reconciler
    bus: Bus
    databases: tuple[Database, ...]
    parts: dict[str, Callable[[], None]]
    flushes: tuple[Callable[[], None], ...]
    """Write what was told last; each may raise AppError."""
    greenlets: list[Any] = field(default_factory=list)

    def start(self) -> None:
        """Start every part. Raises Unavailable when the database cannot be reached."""
        self.reconciler.start()
        self.greenlets = [gevent.spawn(upkeep.forever(name, run)) for name, run in self.parts.items()]

    def stop(self) -> None:
        """Stop every part, then write what waits."""
        gevent.killall(self.greenlets, timeout=STOP_S)
        for flush in self.flushes:
            with suppress(AppError):  # clients repeat their cursors when they come back
                flush()
        self.bus.close()
        for database in self.databases:
            database.close()


@dataclass(frozen=True, slots=True)
class Services:
    """What the messenger does, as far as it does not itself tell those who are connected."""

    tokens: Tokens
    accounts: Accounts
    messages: Messages
    inboxes: Inboxes
    keys: Keys
    links: Links


@dataclass(frozen=True, slots=True)
class Realtime:
    """What keeps connections and tells them things."""

    faults: Faults
    fanout: Fanout
    hub: Hub
    bus: Bus
    outlet: Outlet
    committer: Committer
    joiner: Joiner
    arrivals: Arrivals
    cursors: Cursors
    settlement: Settlement
    postman: Postman
    lobby: Lobby
    calls: Calls
    switchboard: Switchboard
    whereabouts: Whereabouts
    gatekeeper: Gatekeeper
    gateway: Gateway
    reconciler: Reconciler


def create_node(config: Config) -> Node:
    """A node for this configuration; opens no connection yet."""
    metrics = Metrics()
    db = Database(config.database_url, config.database_pool_size, metrics)
    relaxed = Database(config.database_url, RELAXED_POOL_SIZE, metrics, relaxed=True)
    tokens = Tokens(config.jwt_secret, config.access_token_ttl_s)
    accounts = Accounts(db, tokens, config.refresh_token_ttl_s)
    services = Services(
        tokens=tokens,
        accounts=accounts,
        messages=Messages(db, relaxed),
        inboxes=Inboxes(db, relaxed),
        keys=Keys(db, metrics),
        links=Links(db, accounts, config.jwt_secret, metrics),
    )
    rt = _realtime(config, metrics, services, db, relaxed)
    journal = RevocationJournal(Path(config.revocations_dir), config.node_id) if config.revocations_dir else None
    own_devices = Devices(db, rt.whereabouts.connected, journal)
    attachments = Media(
        db,
        _storage(config),
        config.jwt_secret,
        config.cdn_url or "",
        config.media_max_bytes,
        config.media_daily_bytes,
        metrics,
    )
    app = _app(config, metrics, services, rt, db, own_devices, attachments)
    last_backup = LastBackup(db, metrics.gauge("messenger_backup_timestamp_seconds"))
    forget = (
        accounts.forget_expired, own_devices.forget_events, services.keys.forget_claimed, services.inboxes.forget_txns,
        services.links.forget, rt.calls.forget, attachments.sweep,
    )  # fmt: skip
    return Node(
        app=app,
        metrics=metrics,
        gatekeeper=rt.gatekeeper,
        gateway=rt.gateway,
        committer=rt.committer,
        reconciler=rt.reconciler,
        bus=rt.bus,
        databases=(db, relaxed),
        parts=_parts(config, metrics, rt, last_backup, forget),
        flushes=(rt.cursors.flush, rt.postman.flush, rt.whereabouts.flush),
    )


def _realtime(config: Config, metrics: Metrics, services: Services, db: Database, relaxed: Database) -> Realtime:
    messages = services.messages
    faults = Faults(metrics, allowed=not config.production)
    fanout = Fanout(metrics, faults)
    hub = Hub(metrics, fanout)
    # Not NODE_ID: two nodes that were given the same one would not hear each other.
    bus = _bus(config, hub, metrics, str(uuid.uuid4()))
    metrics.gauge("messenger_bus_connected").read = lambda: float(bus.connected)
    outlet = Outlet(hub, fanout, bus)
    committer = Committer(messages, hub, outlet, metrics, faults)
    postman = Postman(services.inboxes, services.keys, messages, hub, bus)
    joiner = Joiner(messages, hub, postman.greet)
    whereabouts = Whereabouts(hub, config.redis_url, config.node_id, LastSeen(relaxed).saw)

    def came(session: Session) -> None:
        whereabouts.came(session)
        postman.acknowledged(session, session.inbox)  # what `hello` names

    arrivals = Arrivals(messages, hub, joiner, metrics, config.beat_s, came)
    cursors = Cursors(messages, outlet, metrics)
    settlement = Settlement(hub, metrics)
    lobby = Lobby(services.links, hub)
    own_calls = Calls(db, postman.told, metrics)
    switchboard = Switchboard(own_calls, metrics)
    gatekeeper = Gatekeeper(
        tokens=services.tokens,
        hub=hub,
        fanout=fanout,
        committer=committer,
        arrivals=arrivals,
        joiner=joiner,
        cursors=cursors,
        outlet=outlet,
        settlement=settlement,
        postman=postman,
        lobby=lobby,
        switchboard=switchboard,
        went=whereabouts.went,
        metrics=metrics,
        send_rate_per_s=config.send_rate_per_s,
        beat_s=config.beat_s,
    )
    take_epoch = partial(upkeep.take_epoch, arrivals, cursors, postman, settlement, hub)
    reconciler = Reconciler(messages, hub, settlement, postman, lobby, metrics, cursors.own_word, take_epoch)
    gateway = Gateway(gatekeeper, services.tokens, metrics, faults, config.cors_origin, config.max_connections)
    return Realtime(
        faults=faults,
        fanout=fanout,
        hub=hub,
        bus=bus,
        outlet=outlet,
        committer=committer,
        joiner=joiner,
        arrivals=arrivals,
        cursors=cursors,
        settlement=settlement,
        postman=postman,
        lobby=lobby,
        calls=own_calls,
        switchboard=switchboard,
        whereabouts=whereabouts,
        gatekeeper=gatekeeper,
        gateway=gateway,
        reconciler=reconciler,
    )


def _app(
    config: Config,
    metrics: Metrics,
    services: Services,
    rt: Realtime,
    db: Database,
    own_devices: Devices,
    attachments: Media,
) -> Flask:
    accounts = services.accounts
    throttle = Throttle(f"{config.auth_attempts_per_minute}/minute")
    app = Flask("app", static_folder=None)
    base.install(app, config, metrics)
    rt.gateway.init_app(app)
    for path in ("/ws", "/calls"):
        rt.gateway.route(path)(rt.gatekeeper.welcome)
    app.register_blueprint(auth.blueprint(accounts, throttle, config))
    own_conversations = Conversations(db, rt.outlet.entries, attachments.avatar_address)
    app.register_blueprint(conversations.blueprint(accounts, own_conversations, own_devices))
    app.register_blueprint(devices.blueprint(accounts, own_devices))
    app.register_blueprint(links.blueprint(accounts, services.links, throttle, config))
    app.register_blueprint(keys.blueprint(accounts, services.keys, ToDevice(db, rt.postman.told)))
    app.register_blueprint(calls.blueprint(accounts, config))
    app.register_blueprint(media.blueprint(accounts, attachments))
    app.register_blueprint(admin.blueprint(config, rt.outlet.broadcast, rt.faults.switch))
    app.register_blueprint(openapi.blueprint())
    app.register_blueprint(web.blueprint(config.cdn_url))
    needed = {
        "drain": lambda: "this node is going away" if rt.gateway.draining else None,
        "log": lambda: _log_problem(rt.reconciler),
    }
    app.register_blueprint(health.blueprint(config.node_id, needed, helpful={"bus": rt.bus.problem}))
    return app


def _parts(
    config: Config, metrics: Metrics, rt: Realtime, last_backup: LastBackup, forget: Sequence[Callable[[], None]]
) -> dict[str, Callable[[], None]]:
    """What runs for as long as the node does, each in a greenlet of its own."""
    parts = {
        "bus": rt.bus.run,
        "arrivals": rt.arrivals.run,
        "committer": rt.committer.run,
        "overdue": rt.committer.watch,
        "cursors": rt.cursors.run,
        "overdue reads": rt.cursors.watch,
        "fan-out": rt.fanout.run,
        "reconciler": rt.reconciler.run,
        "gaps": rt.reconciler.mend_gaps,
        "inboxes": rt.postman.run,
        "acknowledgements": rt.postman.write,
        "lobby": rt.lobby.run,
        "whereabouts": rt.whereabouts.run,
        "faults": rt.faults.run,
        "beat": lambda: upkeep.beat(rt.gatekeeper, config.beat_s),
        "settle": lambda: upkeep.settle(rt.settlement),
        "lag": lambda: upkeep.measure_loop_lag(metrics),
        "collections": lambda: upkeep.keep_collections_short(rt.gatekeeper),
        "last backup": lambda: upkeep.every(LOOK_FOR_BACKUPS_S, last_backup.look),
        "housekeeping": lambda: upkeep.housekeeping(forget),
    }
    parts |= {f"joiner {n}": rt.joiner.run for n in range(JOINERS)}
    parts |= {f"switchboard {n}": partial(rt.switchboard.run, n) for n in range(SWITCHBOARDS)}
    return parts


def _storage(config: Config) -> Storage:
    if not config.media_s3_bucket:
        return DiskStorage(Path(config.media_dir))
    from app.storage.s3 import S3Storage  # boto3 is large, and most do without

    keys = (config.media_s3_access_key or "", config.media_s3_secret_key or "")
    return S3Storage(config.media_s3_bucket, config.media_s3_endpoint, *keys, config.media_s3_region)


def _bus(config: Config, hub: Hub, metrics: Metrics, instance: str) -> Bus:
    if not config.redis_url:
        return LocalBus()
    heard = partial(hand_on, hub)
    return RedisBus(config.redis_url, config.bus_shards, instance, heard, wanted_by(hub), metrics)


def _log_problem(reconciler: Reconciler) -> str | None:
    lag_s = reconciler.lag_s()
    return f"the log of commits was last read {lag_s:.0f} s ago" if lag_s > MAX_LOG_LAG_S else None
