"""People and their devices: who is connected, who comes and goes and why, and whether their devices agree."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.boards.model import Board, Override, Panel, Query, Row, Step
from monitoring.boards.parts import NODES, P95, ZERO, bound_s, lines, objective, quantiles, red_from, variables
from monitoring.signals import messenger as signals
from monitoring.spec.model import Slo

UID = "messenger-devices"

_READ = {"path": "read_sync"}


def board(slos: Sequence[Slo]) -> Board:
    """The board. Raises BoardError when the SLO it shows is not among the specs."""
    slo = objective(slos, "read-sync", UID)
    return Board(
        uid=UID,
        title="Messenger devices and keys",
        description="Which devices are connected, how they come and go, and whether a person's devices agree.",
        tags=("messenger",),
        variables=variables(signals.CONNECTIONS.name, signals.JOB),
        rows=(
            Row(5, (_connected(), _came(), _displaced(), _revoked()), (6, 6, 6, 6), title="Now"),
            Row(8, (_connections(), _connects()), (12, 12), title="Coming and going"),
            Row(8, (_closes(), _hellos()), (12, 12)),
            Row(8, (_read(slo), _catch_up()), (12, 12), title="One person, many devices"),
            Row(7, (_device_events(), _retransmits()), (12, 12)),
            Row(7, (_keys(), _links(), _revocation()), (8, 8, 8), title="Keys and links"),
        ),
    )


def _number(key: str, title: str, description: str, unit: str, query: Query, steps: tuple[Step, ...]) -> Panel:
    return Panel(key, title, description, unit, (query,), kind="stat", steps=steps, minimum=ZERO)


def _connected() -> Panel:
    return _number(
        "devices/connected",
        "Devices connected",
        "Devices with a connection now, on the nodes that are chosen; each has one.",
        "short",
        Query(signals.CONNECTIONS.sum(NODES), "connected"),
        (Step("green"),),
    )


def _came() -> Panel:
    query = Query(signals.CONNECTS.rate(NODES, where={"result": "accepted"}), "connects")
    return _number(
        "devices/connects-now",
        "Connects a second",
        "Devices that signed in. Many times the usual is a storm: a node went, or a network came back.",
        "ops",
        query,
        (Step("green"),),
    )


def _displaced() -> Panel:
    return _number(
        "devices/displaced",
        "Displaced a second",
        "Connections closed (4409) because the same device connected anew. A steady rate is a client that opens two.",
        "ops",
        Query(signals.DISPLACED.rate(NODES), "displaced"),
        (Step("green"),),
    )


def _revoked() -> Panel:
    return _number(
        "devices/revoked",
        "Revoked a second",
        "Connections closed (4401) because their owner signed the device out. Many at once is somebody cleaning up, "
        "or an account that was taken over.",
        "ops",
        Query(signals.REVOKED.rate(NODES), "revoked"),
        (Step("green"),),
    )


def _connections() -> Panel:
    return lines(
        "devices/connections",
        "Connections per node",
        "On one another. A step down on one node and up on the others is a node that went; look for NodeDown.",
        "short",
        Query(signals.CONNECTIONS.sum(NODES, ("instance",)), "{{instance}}"),
        stacked=True,
        books=("connects", "node-down"),
    )


def _connects() -> Panel:
    return lines(
        "devices/connects",
        "Handshakes by how they ended",
        "accepted: signed in. refused: a limit, a wrong Origin or a node that drains. unauthenticated: a token that is "
        "wrong or too old. Refused rising while accepted falls is people who cannot come in.",
        "ops",
        Query(signals.CONNECTS.rate(NODES, ("result",)), "{{result}}"),
        overrides=(
            Override("accepted", color="green"),
            Override("refused", color="red"),
            Override("unauthenticated", color="orange"),
        ),
        books=("connects", "reconnect-storm"),
    )


def _closes() -> Panel:
    return lines(
        "devices/closes",
        "Closes by code",
        "1000 and 1001: left. 1006: the network. 1012: a node that drains. 4008: read too slowly. 4401: revoked. "
        "4402: the token expired. 4408: silent for two beats. 4409: displaced.",
        "ops",
        Query(signals.CLOSES.rate(NODES, ("code",)), "{{code}}"),
        books=("slow-consumers", "reconnect-storm"),
    )


def _hellos() -> Panel:
    queries = quantiles(signals.HELLOS)
    return lines(
        "devices/hellos",
        "Devices signed in by one database call",
        "Devices that come close together share a call; near its limit of a hundred there is a storm.",
        "short",
        *queries,
        books=("reconnect-storm",),
    )


def _read(slo: Slo) -> Panel:
    queries = quantiles(signals.FANOUT_LATENCY, where=_READ)
    return lines(
        "devices/read-sync",
        "Read state to the reader's other devices",
        f"From reading on one device to the others' sockets; the objective is {bound_s(slo)} s. Nothing is nobody "
        "with a second device who reads.",
        "s",
        *queries,
        steps=red_from(bound_s(slo)),
        books=(slo.runbook,),
    )


def _catch_up() -> Panel:
    return lines(
        "devices/catch-up",
        "Catching up after a reconnect",
        "Messages that devices missed and were given when they came back, a second; and p95 of how long a page took.",
        "ops",
        Query(signals.FANOUT_LATENCY.event_rate(NODES, where={"path": "catch_up"}), "events a second"),
        Query(signals.FANOUT_LATENCY.quantile_or_zero(P95, NODES, {"path": "catch_up"}), "p95"),
        overrides=(Override("p95", color="purple", unit="s"),),
        books=("reconnect-storm",),
    )


def _device_events() -> Panel:
    paths = ("device", "keys", "to_device")
    queries = [Query(signals.FANOUT_OWED.rate(NODES, where={"path": path}), path) for path in paths]
    return lines(
        "devices/events",
        "Events about devices and keys",
        "device: linked, changed or revoked, told to the person's other devices. keys and to_device: what end-to-end "
        "encryption exchanges.",
        "ops",
        *queries,
        books=("delivery",),
    )


def _retransmits() -> Panel:
    return lines(
        "devices/retransmits",
        "Sends that were repeated",
        "A client that did not hear the ack sends again with the same id, and gets the first number. A steady rate is "
        "acks that get lost: look at closes and at the error rate.",
        "ops",
        Query(signals.RETRANSMITS.rate(NODES), "repeated"),
        books=("requests",),
    )


def _keys() -> Panel:
    return lines(
        "devices/keys",
        "Keys claimed",
        "Each begins an encrypted session with a device. Fallback keys are handed out when a device has no one-time "
        "key left: some are normal, many are devices that do not upload or somebody who uses keys up. none: a device "
        "without any.",
        "ops",
        Query(signals.KEYS_CLAIMED.rate(NODES, ("key",)), "{{key}}"),
        books=("one-time-keys",),
    )


def _links() -> Panel:
    return lines(
        "devices/links",
        "Steps of linking",
        "offered, claimed, confirmed and completed should follow each other. Many that are wrong are somebody who "
        "guesses codes.",
        "ops",
        Query(signals.LINKS.rate(NODES, ("step",)), "{{step}}"),
    )


def _revocation() -> Panel:
    return lines(
        "devices/revocation",
        "From revoking to closed",
        "How long a revoked device stays connected: a read of the log, every 200 ms, on whichever node it is. Zero "
        "when none was revoked.",
        "s",
        Query(signals.REVOCATION.quantile_or_zero(P95, NODES), "p95"),
    )
