"""`kill -9` of prober, on-call, Alertmanager and messenger around an incident: nothing is lost, little is said twice.

One order of kills here; `make kills` tries all twenty-four.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitoring.client.api import Api
from monitoring.oncall.ways import PEOPLE_REST_S
from monitoring.probes.archive import count_journal
from monitoring.probes.journal import ABANDONED, read
from tests.support.alertmanager import Mailbox, http_sink, mail_sink
from tests.support.chain import Chain
from tests.support.people import register
from tests.support.probing import write_settings
from tests.support.secure import Talker
from tests.support.servers import eventually

KILLED = ("prober", "oncall", "alertmanager", "messenger")
ORDERS = tuple(itertools.permutations(KILLED))
ONCALL = """\
people: {ann: {mail: ann@mail.example, messenger: ANN}}
escalation: {page: [{tell: [ann], by: [talk, hook, mail]}]}
ways:
  talk: {messenger: {url: "http://MESSENGER", state: bot}}
  hook: {hook: {url: "SINK/hook"}}
  mail: {mail: {smarthost: "MAIL", from: oncall@mail.example, starttls: false}}
watchdog: {within: 60s}
confirm_after: 3s
prometheus: {url: "http://PROMETHEUS"}
alertmanager: {url: "http://ALERTMANAGER"}
"""
TOLD_S = 60.0 + PEOPLE_REST_S


@dataclass
class World:
    """The chain, what was heard of it, and how often on-call was killed."""

    chain: Chain
    mailbox: Mailbox
    ann: Talker
    oncall_kills: int = 0

    def ends(self) -> int:
        """Incidents of the thing that are over."""
        return sum(one["title"] == "Down" and one["state"] == "resolved" for one in self.chain.ask("/api/incidents"))

    def kill(self, order: Sequence[str]) -> None:
        """Each in turn, and at once started again."""
        for name in order:
            self.chain.kill(name)
            self.oncall_kills += name == "oncall"
            self.chain.start(name)

    def an_incident(self, order: Sequence[str]) -> None:
        """The thing goes away and comes back, and everything is killed both times."""
        ends = self.ends()
        self.chain.kill("thing")
        self.kill(order)
        eventually(lambda: "Down" in self.chain.incidents(), within_s=TOLD_S)
        self.chain.start("thing")
        self.kill(order)
        eventually(self.ends, lambda now: now == ends + 1, within_s=TOLD_S)
        self.come_back()

    def come_back(self) -> None:
        """Ann's device, which the messenger's death has disconnected, signs in again and reads on."""
        self.ann.api.refresh(self.ann.account)
        self.ann.device.connect()

    def mailed(self) -> list[str]:
        """The ids of the events in the mails, with what was mailed twice."""
        return [event for mail in self.mailbox.mails for event in str(mail["X-Event-Ids"]).split()]


@pytest.fixture
def world(shared_database_url: str, tmp_path: Path) -> Iterator[World]:
    with http_sink() as sink, mail_sink() as mailbox:
        # Its people are known when the messenger is there, and on-call's file names one of them.
        chain = Chain(tmp_path, sink, ONCALL.replace("MAIL", mailbox.address), shared_database_url)
        with chain.whole("thing", "messenger"):
            api = Api(f"http://{chain.at['messenger']}")
            ann = Talker(api, register(api, "ann"))
            oncall = tmp_path / "oncall.yaml"
            oncall.write_text(oncall.read_text().replace("ANN", ann.account.name))
            metrics = {"port": int(chain.at["prober"].split(":")[1])}
            write_settings(
                tmp_path, api.base_url, {"canary": {"every": "1s"}}, metrics=metrics, journal={"folder": "canaries"}
            )
            chain.start("alertmanager", "prometheus", "oncall", "prober")
            try:
                yield World(chain, mailbox, ann)
            finally:
                ann.close()


def test_whatever_is_killed_while_it_begins_and_ends_is_nothing_lost(world: World) -> None:
    sink = world.chain.sink
    sink.answers.clear()
    world.chain.kill("thing")
    eventually(lambda: world.chain.heard("Down"), within_s=TOLD_S)
    world.kill(("oncall",))  # the hook has taken the message, and nobody has written that down
    sink.answers.set()
    first, second = eventually(lambda: world.chain.heard("Down"), lambda heard: len(heard) == 2, within_s=TOLD_S)
    assert first == second
    world.chain.start("thing")
    eventually(world.ends, within_s=TOLD_S)
    world.an_incident(ORDERS[-1])
    require_that_nothing_was_lost(world, 2)


@pytest.mark.every_order
@pytest.mark.timeout(2_400)
def test_in_every_order(world: World) -> None:
    for order in ORDERS:
        world.an_incident(order)
    require_that_nothing_was_lost(world, len(ORDERS))


def require_that_nothing_was_lost(world: World, incidents: int) -> None:
    """Every incident was told and its end too, by every way; what was told twice has the same id."""

    def hooked() -> dict[str, list[str]]:
        """By incident, the states that the hook heard of, each event once; not what it heard in place of others."""
        own = {one["event"]: one for one in world.chain.heard("Down") if "since" not in one["cause"]}
        return _by_incident((one["incident"], one["state"]) for one in own.values())

    def is_whole(told: dict[str, list[str]]) -> bool:
        return sum(map(len, told.values())) >= 2 * incidents

    for states in eventually(hooked, is_whole, within_s=TOLD_S).values():
        _require_both(states)
    eventually(lambda: set(world.mailed()), lambda mails: len(mails) >= 2 * incidents, within_s=TOLD_S)
    for events in ([one["event"] for one in world.chain.heard("Down")], world.mailed()):
        assert len(events) - len(set(events)) <= world.oncall_kills, Counter(events)
    cards = eventually(lambda: _cards(world.ann), is_whole, within_s=TOLD_S)
    for states in cards.values():
        _require_both(states)
    world.chain.kill("prober")
    world.chain.start("prober")  # it ends what the one before has left
    require_that_every_canary_has_an_end(world.chain.folder)


def _require_both(states: list[str]) -> None:
    """Once that it began, once that it is over. What is told late is told as it stands by then."""
    assert len(states) == 2, states
    assert states[-1] == "resolved", states


def _cards(ann: Talker) -> dict[str, list[str]]:
    told = [one.content["incident"] for one in tuple(ann.messages) if one.content["msgtype"] == "messenger.incident"]
    return _by_incident((one["id"], one["state"]) for one in told if one["title"] == "Down")


def _by_incident(told: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for incident, state in told:
        found.setdefault(incident, []).append(state)
    return found


def require_that_every_canary_has_an_end(folder: Path) -> None:
    """Each has one, but those that are just under way, and none was lost."""
    entries = [entry for entry, _ in read(folder / "canaries")]
    ends = Counter(entry.id for entry in entries if entry.kind == "end")
    assert set(ends.values()) == {1}
    left = {entry.id for entry in entries if entry.kind == "sent"} - ends.keys()
    assert len(left) <= 2
    found = _outcomes(folder)
    assert found["delivered"] > 0
    assert found.keys() <= {"delivered", "late", "send_failed", ABANDONED}, found


def _outcomes(folder: Path) -> dict[str, int]:
    return count_journal((entry for entry, _ in read(folder / "canaries")), 0.0, 4e9).by_outcome
