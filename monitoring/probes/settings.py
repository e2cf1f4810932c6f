"""probes.yaml: what is probed from here, how often, and where it is written down.

All mistakes are raised together with their lines. The keys are explained in docs/probes.md. Secrets stand in files of
their own; paths resolve against the folder of this file. The section `probes` may change while the prober runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from monitoring.config import Name, Text, Url
from monitoring.errors import ConfigError
from monitoring.maths.durations import Duration
from monitoring.paths import shown
from monitoring.probes.ledger import FINAL_AFTER_S
from monitoring.yamltree import Node, Notes, decode, one_document

Kind = Literal[
    "canary", "connect", "health", "login", "catch_up", "read_sync", "revoke", "link", "keys", "media", "call",
    "broadcast", "alerts",
]  # fmt: skip
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
SERVICE = "messenger"
"""What the route by the public address is called."""

LEAST_EVERY: dict[Kind, Duration] = {"login": Duration(5), "link": Duration(240), "keys": Duration(240)}
"""The messenger limits these: 30 sign-ins a minute, and 20 links and 20 keys of one device an hour."""
MOST_TIMEOUT: dict[Kind, Duration] = {"alerts": Duration(600)}
"""Of the others a run is over when a canary is final."""

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Probe(msgspec.Struct, frozen=True):
    """One kind: a run every so often, which must be through within its timeout."""

    every: Duration
    timeout: Duration = Duration(5)


class Journal(msgspec.Struct, frozen=True):
    """A folder of this prober's alone, and the database that it is uploaded to."""

    folder: Text
    ledger_url_file: Text | None = None


class Metrics(msgspec.Struct, frozen=True):
    """Where /metrics listens."""

    port: Port
    host: Text = "127.0.0.1"


class OnCall(msgspec.Struct, frozen=True):
    """On-call, and an account there that may look: it says what became of the drills that are raised here."""

    url: Url
    name: Text
    password_file: Text


class File(msgspec.Struct, frozen=True):
    """The file as it is written."""

    name: Name
    messenger: Url
    people: Text
    metrics: Metrics
    probes: dict[Kind, Probe]
    nodes: dict[Name, Url] = {}
    journal: Journal | None = None
    jitter: Decimal = Decimal("0.1")
    token_file: Text | None = None
    admin_token_file: Text | None = None
    oncall: OnCall | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What a prober goes by."""

    folder: Path
    file: File

    def path(self, name: str) -> Path:
        """A file that this one names."""
        return self.folder / name

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Names of where canaries are sent and where they are heard: every pair of nodes, each with itself too."""
        names = tuple(self.file.nodes) or (SERVICE,)
        return tuple((source, target) for source in names for target in names)

    def url(self, place: str) -> str:
        """Where a node, or the messenger as people reach it, is."""
        return self.file.nodes.get(place, self.file.messenger)

    def fixed(self) -> File:
        """What only a new start can change."""
        return msgspec.structs.replace(self.file, probes={})


def load(path: Path) -> Settings:
    """Read and check the file. Raises ConfigError with every mistake in it."""
    notes = Notes(shown(path))
    node = one_document(path, notes)
    file = decode(node, File, notes) if node else None
    if file and node:
        _check(file, node, notes, path.parent)
    if notes.mistakes or not file:
        raise ConfigError(notes.mistakes)
    return Settings(path.parent, file)


def _check(file: File, node: Node, notes: Notes, folder: Path) -> None:
    """What the types cannot say."""
    if not file.probes:
        notes.add(node.line_of("probes"), f"probes: nothing is probed; expected some of {', '.join(KINDS)}")
    if not 0 <= file.jitter < 1:
        notes.add(
            node.line_of("jitter"), f"jitter: expected a share of the interval from 0 to below 1, found {file.jitter}"
        )
    for kind, probe in file.probes.items():
        least = LEAST_EVERY.get(kind, Duration(1))
        if probe.every < least:
            message = f"probes.{kind}.every: the messenger lets nobody do this more often than every {least}"
            notes.add(node.line_of("probes", kind, "every"), message)
        most = MOST_TIMEOUT.get(kind, Duration(int(FINAL_AFTER_S)))
        if probe.timeout > most:
            notes.add(node.line_of("probes", kind, "timeout"), f"probes.{kind}.timeout: expected at most {most}")
    if "broadcast" in file.probes and not file.admin_token_file:
        # It is seen by everybody, so nobody gets it by listing all kinds.
        message = "probes.broadcast: everybody sees it, and it needs `admin_token_file`"
        notes.add(node.line_of("probes", "broadcast"), message)
    _check_alerts(file, node, notes)
    ledger = file.journal.ledger_url_file if file.journal else None
    for path, name in (
        ("oncall.password_file", file.oncall.password_file if file.oncall else None),
        ("token_file", file.token_file),
        ("admin_token_file", file.admin_token_file),
        ("journal.ledger_url_file", ledger),
    ):
        if name and not (folder / name).is_file():
            notes.add(node.line_of(*path.split(".")), f"{path}: there is no file {folder / name}")


def _check_alerts(file: File, node: Node, notes: Notes) -> None:
    """One drill at a time: the alert of the one before must be over."""
    probe = file.probes.get("alerts")
    if probe is None:
        return
    if file.oncall is None:
        notes.add(
            node.line_of("probes", "alerts"), "probes.alerts: on-call is asked what became of it: `oncall` is missing"
        )
    if probe.every < 2 * probe.timeout:
        message = f"probes.alerts.every: expected at least twice its timeout of {probe.timeout}"
        notes.add(node.line_of("probes", "alerts"), message)
