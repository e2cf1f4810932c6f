"""oncall.yaml: who is called for what, in which order, by which ways.

All mistakes are raised together with their lines. The keys are explained in docs/oncall.md. Secrets stand in files of
their own, whose paths resolve against the folder of this one. The file is read at the start; `oncall check FILE`
tells what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from monitoring.config import Address, Name, Target, Text, Url
from monitoring.errors import ConfigError
from monitoring.maths.durations import Duration
from monitoring.oncall.incidents import Step
from monitoring.oncall.schedule import Override, Rotation
from monitoring.paths import shown
from monitoring.yamltree import Node, Notes, decode, one_document, unknown

Hour = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["09:00"])]
Severity = Literal["page", "ticket"]


class Person(msgspec.Struct):
    """Somebody who can be called; `mail` is where their mail goes, `messenger` what they are called there."""

    mail: Address | None = None
    messenger: Text | None = None


class OverrideWritten(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """Somebody stands in; times with their offset, or else in the rotation's zone."""

    start: str
    end: str
    person: str


class RotationWritten(msgspec.Struct):
    """People who take turns; the first of them began on the date `since`, a day of handover."""

    people: tuple[str, ...]
    zone: Text
    since: str
    at: Hour = "09:00"
    overrides: tuple[OverrideWritten, ...] = ()


class StepWritten(msgspec.Struct):
    """Who hears of an incident so long after it was opened, and how; without `after` at once."""

    tell: tuple[str, ...]
    by: tuple[str, ...]
    after: Duration = Duration(0)


class Mail(msgspec.Struct):
    """Mail by SMTP; `smarthost` is host:port, the password of `username` stands in a file."""

    smarthost: Target
    sender: Address = msgspec.field(name="from")
    username: Text | None = None
    password_file: Text | None = None
    starttls: bool = True


class Chat(msgspec.Struct):
    """A channel of Slack, or of what takes its webhooks; the file holds the webhook's URL, which is its secret."""

    url_file: Text


class Hook(msgspec.Struct):
    """JSON to an address; the file holds the bearer token that it asks for."""

    url: Url
    credentials_file: Text | None = None


class Messenger(msgspec.Struct):
    """The on-call conversation of a messenger; the bot's account, keys and messages are kept in the folder `state`."""

    url: Url
    state: Text
    title: Text = "On call"


class Way(msgspec.Struct):
    """How people are reached: exactly one of these."""

    mail: Mail | None = None
    chat: Chat | None = None
    hook: Hook | None = None
    messenger: Messenger | None = None


class Watchdog(msgspec.Struct):
    """The dead man's switch: an incident of on-call's own when Alertmanager's Watchdog was not heard for so long."""

    within: Duration = Duration(180)


class Source(msgspec.Struct):
    """A Prometheus or an Alertmanager to ask; the file holds the bearer token."""

    url: Url
    credentials_file: Text | None = None


class Heartbeat(msgspec.Struct):
    """An address outside, asked for every so often: who watches it learns that on-call itself is gone."""

    url_file: Text
    every: Duration = Duration(60)


class Drills(msgspec.Struct):
    """By which ways drills are told, and to whom where a way speaks to one person; without it they are only kept."""

    by: tuple[str, ...]
    tell: tuple[str, ...] = ()


class File(msgspec.Struct):
    """The file as it is written."""

    people: dict[Name, Person]
    escalation: dict[Severity, tuple[StepWritten, ...]]
    ways: dict[Name, Way]
    rotations: dict[Name, RotationWritten] = {}
    watchdog: Watchdog | None = None
    prometheus: Source | None = None
    alertmanager: Source | None = None
    heartbeat: Heartbeat | None = None
    confirm_after: Duration = Duration(45)
    page_url: Url | None = None
    drills: Drills | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What on-call goes by."""

    folder: Path
    people: dict[str, Person]
    rotations: dict[str, Rotation]
    chains: dict[str, tuple[Step, ...]]
    ways: dict[str, Way]
    watchdog_within_s: int | None = None
    prometheus: Source | None = None
    alertmanager: Source | None = None
    heartbeat: Heartbeat | None = None
    page_url: str = ""
    confirm_after_s: int = 45
    """An end is believed when Prometheus did not have the alert for so long: each rule was evaluated meanwhile."""
    drills: Drills | None = None

    def chain(self, severity: str) -> tuple[Step, ...]:
        """How an incident of this severity is escalated; what is neither page nor ticket goes the way of a ticket."""
        return self.chains.get(severity, self.chains.get("ticket", ()))

    def addressed(self, way: str, people: Sequence[str]) -> tuple[str, ...]:
        """Whom a way speaks to: each of them by mail; the others speak to everybody who listens there, said as ''."""
        return tuple(people) if self.ways[way].mail else ("",)

    def others(self, way: str) -> tuple[str, ...]:
        """The ways to use when this one does not work."""
        return tuple(name for name in self.ways if name != way)

    def secret(self, name: str) -> str:
        """What a file beside this one holds. Raises OSError."""
        return (self.folder / name).read_text(encoding="utf-8").strip()


NOBODY = Settings(Path(), {}, {}, {}, {})
"""Incidents are kept and shown, and nobody is called."""


def load(path: Path) -> Settings:
    """Read and check the file. Raises ConfigError with every mistake in it."""
    notes = Notes(shown(path))
    file, node = _read(path, notes)
    rotations: dict[str, Rotation] = {}
    if file and node:
        checked = _Checker(file, node, notes, path.parent)
        rotations = dict(checked.rotations())
        checked.steps()
        checked.ways()
        checked.drills()
    if notes.mistakes or not file:
        raise ConfigError(notes.mistakes)
    chains = {
        str(severity): tuple(Step(int(step.after), step.tell, step.by) for step in steps)
        for severity, steps in file.escalation.items()
    }
    return Settings(
        path.parent, file.people, rotations, chains, file.ways,
        int(file.watchdog.within) if file.watchdog else None,
        file.prometheus, file.alertmanager, file.heartbeat, file.page_url or "", int(file.confirm_after),
        file.drills,
    )  # fmt: skip


def _read(path: Path, notes: Notes) -> tuple[File | None, Node | None]:
    node = one_document(path, notes)
    return (decode(node, File, notes), node) if node else (None, None)


class _Checker:
    """What the types cannot say: names that must be there, moments, order, files."""

    def __init__(self, file: File, node: Node, notes: Notes, folder: Path) -> None:
        self._file, self._node, self._notes, self._folder = file, node, notes, folder

    def _wrong(self, path: tuple[str | int, ...], message: str) -> None:
        self._notes.add(self._node.line_of(*path), f"{'.'.join(map(str, path))}: {message}")

    def rotations(self) -> Iterator[tuple[str, Rotation]]:
        for name, written in self._file.rotations.items():
            path = ("rotations", name)
            if name in self._file.people:
                self._wrong(path, "a person is called so, too; a step could mean either")
            if not written.people:
                self._wrong((*path, "people"), "nobody takes a turn")
            for i, person in enumerate(written.people):
                self._person((*path, "people", i), person)
            try:
                zone = ZoneInfo(written.zone)
            except (OSError, ValueError, ZoneInfoNotFoundError):
                self._wrong((*path, "zone"), f"no time zone {written.zone!r}; expected for example Europe/Berlin")
                continue
            try:
                since = date.fromisoformat(written.since)
            except ValueError:
                self._wrong((*path, "since"), f"{written.since!r} is no date; expected for example 2030-01-07")
                continue
            overrides = tuple(self._overrides(path, written, zone))
            if written.people:
                yield name, Rotation(name, written.people, since, time.fromisoformat(written.at), zone, overrides)

    def _overrides(self, path: tuple[str | int, ...], written: RotationWritten, zone: ZoneInfo) -> Iterator[Override]:
        for i, one in enumerate(written.overrides):
            here = (*path, "overrides", i)
            self._person((*here, "person"), one.person)
            start, end = self._moment((*here, "from"), one.start, zone), self._moment((*here, "to"), one.end, zone)
            if start and end:
                if end <= start:
                    self._wrong((*here, "to"), f"expected a moment after {one.start}, found {one.end}")
                yield Override(start, end, one.person)

    def _moment(self, path: tuple[str | int, ...], text: str, zone: ZoneInfo) -> datetime | None:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            self._wrong(path, f"{text!r} is no moment; expected for example 2030-12-24T18:00")
            return None
        return found if found.tzinfo else found.replace(tzinfo=zone)

    def _person(self, path: tuple[str | int, ...], name: str) -> None:
        if name not in self._file.people:
            self._wrong(path, unknown("person", name, self._file.people))

    def steps(self) -> None:
        known = (*self._file.people, *self._file.rotations)
        for severity, steps in self._file.escalation.items():
            for i, step in enumerate(steps):
                path = ("escalation", severity, i)
                if i and step.after <= steps[i - 1].after:
                    self._wrong((*path, "after"), f"expected later than the step before it, {steps[i - 1].after}")
                self._names((*path, "tell"), step.tell, known, "person or rotation")
                self._names((*path, "by"), step.by, tuple(self._file.ways), "way")
        if not self._file.escalation.get("page"):
            self._wrong(("escalation",), "nobody hears of pages; `page` needs a step")

    def drills(self) -> None:
        """They must reach somebody by mail, or it is no way for them."""
        drills = self._file.drills
        if drills is None:
            return
        self._names(("drills", "by"), drills.by, tuple(self._file.ways), "way")
        if drills.tell:
            self._names(("drills", "tell"), drills.tell, tuple(self._file.people), "person")
        self._reachable(("drills", "by"), StepWritten(drills.tell, drills.by))
        mails = [name for name in drills.by if name in self._file.ways and self._file.ways[name].mail]
        if mails and not drills.tell:
            self._wrong(("drills", "tell"), f"names no person, and {mails[0]} speaks to one at a time")

    def _names(self, path: tuple[str | int, ...], names: Sequence[str], among: Sequence[str], what: str) -> None:
        if not names:
            self._wrong(path, f"names no {what}")
        for i, name in enumerate(names):
            if name not in among:
                self._wrong((*path, i), unknown(what, name, among))

    def ways(self) -> None:
        for name, way in self._file.ways.items():
            chosen = [key for key in Way.__struct_fields__ if getattr(way, key)]
            if len(chosen) != 1:
                self._wrong(("ways", name), f"expected exactly one of {', '.join(Way.__struct_fields__)}")
            for key in chosen:
                self._files(("ways", name, key), getattr(way, key))
        for key in ("prometheus", "alertmanager", "heartbeat"):
            if source := getattr(self._file, key):
                self._files((key,), source)
        for severity, steps in self._file.escalation.items():
            for i, step in enumerate(steps):
                self._reachable(("escalation", severity, i, "by"), step)

    def _files(self, path: tuple[str | int, ...], written: msgspec.Struct) -> None:
        """Secrets must be there before somebody has to be called."""
        for key in ("url_file", "password_file", "credentials_file"):
            name = getattr(written, key, None)
            if name and not (self._folder / name).is_file():
                self._wrong((*path, key), f"there is no file {self._folder / name}")

    def _reachable(self, path: tuple[str | int, ...], step: StepWritten) -> None:
        """Mail reaches a person by an address of theirs."""
        people: set[str] = set()
        for name in step.tell:
            rotation = self._file.rotations.get(name)
            people.update((*rotation.people, *(one.person for one in rotation.overrides)) if rotation else (name,))
        for way in (name for name in step.by if name in self._file.ways and self._file.ways[name].mail):
            without = sorted(one for one in people if one in self._file.people and not self._file.people[one].mail)
            if without:
                self._wrong(path, f"{way} cannot reach {', '.join(without)}: people.{without[0]}.mail is missing")
