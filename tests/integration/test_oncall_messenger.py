"""On-call's bot in a real messenger: cards that come once, buttons that count, and a messenger that is down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.oncall.incidents import State, Step
from monitoring.oncall.messenger import MessengerWay
from monitoring.oncall.settings import Messenger, Person, Settings, Way
from monitoring.oncall.store import Store
from monitoring.oncall.ways import WayError
from monitoring.oncall.webhook import Alert
from tests.support.people import PASSWORD, register
from tests.support.secure import Talker
from tests.support.servers import Node, eventually, running_node
from tests.support.sql import execute, rows

NOW = 1_800_000_000.0
TITLE = "On call"


@pytest.fixture
def node(shared_database_url: str, tmp_path: Path) -> Iterator[Node]:
    with running_node(shared_database_url, tmp_path / "log") as running:
        yield running


class Desk:
    """On-call with one way, and Ann, who is called by it."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.ann = Talker(node.api, register(node.api, "ann"))
        self.settings = Settings(
            folder,
            {"ann": Person(messenger=self.ann.account.name)},
            {},
            {"page": (Step(0, ("ann",), ("talk",)),)},
            {"talk": Way(messenger=Messenger(node.api.base_url, "bot", TITLE))},
        )
        self.store = Store(folder / "oncall.db")
        self.way = self.another()

    def another(self) -> MessengerWay:
        """As after a restart: only the folder is left."""
        messenger = self.settings.ways["talk"].messenger
        assert messenger
        return MessengerWay(self.settings, messenger, self.store, lambda: NOW)

    def hear(self, status: str = "firing") -> None:
        alert = Alert(status, {"alertname": "NodeDown", "severity": "page"}, {"summary": "n1"}, "s1", "", "fp")  # type: ignore[arg-type]
        self.store.add("page", [alert], NOW)
        self.store.escalate(self.settings, NOW)

    def cards(self) -> list[tuple[str, str]]:
        """(title, state) of each card that Ann read."""
        told = [m.content["incident"] for m in tuple(self.ann.messages) if m.content["msgtype"] == "messenger.incident"]
        return [(one["title"], one["state"]) for one in told]

    def press(self, action: str, talker: Talker) -> None:
        card = [m for m in talker.messages if m.content["msgtype"] == "messenger.incident"][-1]
        content = {
            "msgtype": "messenger.incident_action",
            "body": action,
            "incident": card.content["incident"]["id"],
            "action": action,
        }
        talker.next("ack", id=talker.device.say(card.conv, content))

    def state(self) -> tuple[State, str | None]:
        (incident,) = self.store.incidents(1)
        return incident.state, incident.acknowledged_by


@pytest.fixture
def desk(node: Node, tmp_path: Path) -> Iterator[Desk]:
    found = Desk(node, tmp_path)
    try:
        yield found
    finally:
        found.way.stop()
        found.ann.close()


def test_a_card_comes_once_however_often_it_is_sent_and_its_buttons_count(desk: Desk) -> None:
    desk.hear()
    due = desk.store.due(NOW)
    desk.way.tell("", due)
    eventually(desk.cards, lambda cards: cards == [("NodeDown", "firing")])
    desk.way.stop()
    desk.way = desk.another()
    desk.way.tell("", due)  # it died before it wrote down that this was sent
    desk.store.sent(due, NOW)
    desk.press("acknowledge", desk.ann)
    eventually(desk.state, lambda state: state == (State.ACKNOWLEDGED, "ann"))
    desk.way.tell("", desk.store.due(NOW))
    desk.press("resolve", desk.ann)
    eventually(desk.state, lambda state: state[0] is State.RESOLVED)
    eventually(desk.cards, lambda cards: cards == [("NodeDown", "firing"), ("NodeDown", "acknowledged")])
    whole = [line.what for line in desk.store.incident(1)[1]]  # type: ignore[index]
    assert whole == ["opened", "escalated", "notified", "acknowledged", "resolved"]


def test_somebody_who_is_not_called_changes_nothing(desk: Desk, node: Node) -> None:
    eve = Talker(node.api, register(node.api, "eve"))
    try:
        desk.hear()
        desk.way.tell("", desk.store.due(NOW))
        conv = next(row for row in node.api.conversations(desk.ann.account) if row["title"] == TITLE)
        node.api.call(
            "POST", f"/api/conversations/{conv['id']}/members", {"members": [eve.account.name]},
            desk.ann.account.access_token,
        )  # fmt: skip
        desk.hear("resolved")
        desk.store.confirm(1, "gone", NOW)
        desk.hear()
        desk.way.tell("", desk.store.due(NOW))
        eventually(lambda: [m for m in eve.messages if m.content["msgtype"] == "messenger.incident"])
        eventually(desk.cards, lambda cards: len(cards) == 3)
        desk.press("resolve", eve)
        eventually(lambda: [m for m in desk.ann.messages if m.sender == eve.account.user])
        desk.press("acknowledge", desk.ann)
        eventually(desk.state, lambda state: state == (State.ACKNOWLEDGED, "ann"))
    finally:
        eve.close()


def test_a_bot_whose_device_was_revoked_comes_back_as_another_one(
    desk: Desk, node: Node, shared_database_url: str
) -> None:
    desk.way.run()
    (device,) = rows(shared_database_url, "SELECT max(id) FROM devices WHERE name = 'on call'")
    execute(shared_database_url, f"UPDATE devices SET revoked_at = now() WHERE id = {device[0]}")
    desk.hear()

    def told() -> bool:
        try:
            desk.way.tell("", desk.store.due(NOW))
        except WayError:
            return False
        return True

    eventually(told)
    eventually(desk.cards, lambda cards: cards == [("NodeDown", "firing")])


def test_a_messenger_that_is_down_is_an_error_that_names_it(desk: Desk, node: Node) -> None:
    desk.way.run()
    node.stop()
    desk.hear()
    with pytest.raises(WayError, match=node.api.base_url):
        desk.way.tell("", desk.store.due(NOW))
    desk.way.run()


def test_somebody_who_is_called_and_not_there_yet_is_waited_for(desk: Desk, node: Node) -> None:
    desk.settings.people["late"] = Person(messenger="late-person")
    desk.way.run()
    desk.hear()
    with pytest.raises(WayError, match="late-person"):
        desk.way.tell("", desk.store.due(NOW))
    node.api.register("late-person", PASSWORD)
    desk.way.tell("", desk.store.due(NOW))
    eventually(desk.cards, lambda cards: cards == [("NodeDown", "firing")])
