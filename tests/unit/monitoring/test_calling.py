"""Who is called for an incident, when and by which way: real SQLite, SMTP and HTTP; the clock is the tests'."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitoring.errors import ConfigError
from monitoring.oncall.command import ways_of
from monitoring.oncall.dispatch import FIRST_RETRY_S, GIVE_UP_AFTER_TRIES, MAX_RETRY_S, Dispatcher
from monitoring.oncall.drills import Drill, Drills
from monitoring.oncall.incidents import State
from monitoring.oncall.schedule import Override, Rotation
from monitoring.oncall.settings import Drills as DrillWays
from monitoring.oncall.settings import Settings, load
from monitoring.oncall.store import Notification, Store
from monitoring.oncall.ways import PEOPLE_REST_S
from monitoring.oncall.webhook import Alert
from tests.support.alertmanager import Mailbox, Sink, http_sink, mail_sink
from tests.support.servers import free_port

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
SETTINGS = """\
people:
  ann: {mail: ann@mail.example}
  bob: {mail: bob@mail.example}
  zoe: {mail: zoe@mail.example}
rotations:
  primary:
    people: [ann, bob]
    zone: Europe/Berlin
    since: 2026-03-02
    at: "09:00"
    overrides:
      - {from: 2026-03-04T18:00, to: 2026-03-05T08:00, person: zoe}
escalation:
  page:
    - {tell: [primary], by: [mail, chat]}
    - {after: 10m, tell: [primary, zoe], by: [mail, hook]}
  ticket:
    - {tell: [primary], by: [chat]}
ways:
  mail: {mail: {smarthost: "MAIL", from: oncall@mail.example, starttls: false}}
  chat: {chat: {url_file: chat-url}}
  hook: {hook: {url: "SINK/hook", credentials_file: hook-token}}
page_url: https://oncall.example
"""


def alert(name: str = "NodeDown", status: str = "firing", severity: str = "page", starts_at: str = "s1") -> Alert:
    labels = {"alertname": name, "severity": severity}
    return Alert(status, labels, {"summary": f"{name} it is"}, starts_at, "", f"fp-{name}")  # type: ignore[arg-type]


@dataclass
class House:
    """On-call with its ways, and where they end."""

    store: Store
    settings: Settings
    sink: Sink
    mailbox: Mailbox
    now: float = NOW

    def __post_init__(self) -> None:
        self.taken: list[bool] = []
        self.restart()

    def restart(self) -> None:
        """As after a kill: only the file is left."""
        self.ways = ways_of(self.settings, self.store)
        self.dispatcher = Dispatcher(self.store, self.settings, self.ways, self.taken.append, lambda: self.now)

    def hear(self, *alerts: Alert) -> None:
        self.store.add("page", alerts, self.now)

    def wait(self, seconds: float) -> None:
        """Time passes, and the dispatcher runs at its end."""
        self.now += seconds
        self.dispatcher.escalate()
        for way in (*self.ways, None):
            self.dispatcher.send(way)

    def mails(self) -> list[tuple[str, str]]:
        """(to, subject) of each mail."""
        return [(str(mail["To"]), str(mail["Subject"])) for mail in self.mailbox.mails]

    def hooked(self) -> list[dict[str, Any]]:
        return [one for body in self.sink.bodies("/hook") for one in body["notifications"]]

    def own(self) -> list[str]:
        """The titles of open incidents of on-call's own."""
        return [one.title for one in self.store.incidents(100, open_only=True) if one.key.startswith("own:")]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with http_sink() as sink, mail_sink() as mailbox:
        (tmp_path / "chat-url").write_text(f"{sink.url}/chat")
        (tmp_path / "hook-token").write_text("token-of-the-hook\n")
        path = tmp_path / "oncall.yaml"
        path.write_text(SETTINGS.replace("SINK", sink.url).replace("MAIL", mailbox.address))
        yield House(Store(tmp_path / "oncall.db"), load(path), sink, mailbox)


def test_a_page_is_told_step_by_step_until_somebody_takes_it(house: House) -> None:
    house.hear(alert())
    house.wait(0)
    assert house.mails() == [("ann@mail.example", "[FIRING] NodeDown")]
    (said,) = house.sink.bodies("/chat")
    assert "NodeDown it is" in said["text"]
    assert "https://oncall.example/incidents/1" in said["text"]
    house.wait(599)
    assert len(house.mails()) == 1
    house.wait(1)
    assert {to for to, _ in house.mails()[1:]} == {"ann@mail.example", "zoe@mail.example"}
    assert [one["cause"] for one in house.hooked()] == ["step 2"]
    assert house.store.acknowledge(1, "zoe", house.now)
    assert not house.store.acknowledge(1, "bob", house.now), "it is taken"
    house.wait(PEOPLE_REST_S)
    assert house.hooked()[-1]["cause"] == "acknowledged"
    before = len(house.mails())
    house.wait(3600)
    assert len(house.mails()) == before
    taken = {to for to, subject in house.mails() if "ACKNOWLEDGED" in subject}
    assert taken == {"ann@mail.example", "zoe@mail.example"}


def test_an_end_is_not_told_before_the_beginning_that_waits_to_be_tried_again(house: House) -> None:
    house.settings.ways["hook"].hook.url = f"http://127.0.0.1:{free_port()}"  # type: ignore[union-attr]
    house.settings.chains["page"] = (replace(house.settings.chains["page"][0], by=("hook",)),)
    house.restart()
    house.hear(alert())
    house.wait(0)
    house.settings.ways["hook"].hook.url = f"{house.sink.url}/hook"  # type: ignore[union-attr]
    house.store.confirm(1, "it is gone", house.now)
    house.wait(1)
    assert house.hooked() == []
    house.wait(FIRST_RETRY_S)
    assert [one["state"] for one in house.hooked()] == ["resolved", "resolved"]
    assert [one["cause"] for one in house.hooked()] == ["step 1", "resolved"]


def drilled(house: House, drill: str, status: str = "firing") -> Drill:
    """What became of a drill that Alertmanager tells of."""
    drills = Drills(house.store, house.settings)
    if status:
        drills.take([Alert(status, {"alertname": "OnCallDrill"}, {"drill": drill}, "s", "", "fp")], house.now)  # type: ignore[arg-type]
    found = drills.found(drill)
    assert found
    return found


def test_a_drill_is_told_after_what_is_real_and_only_by_its_own_ways(house: House) -> None:
    house.settings = replace(house.settings, drills=DrillWays(("mail", "hook"), ("bob",)))
    house.restart()
    began = drilled(house, "17")
    house.hear(alert())
    assert began.told_at is None
    house.wait(1)
    assert house.mails() == [("ann@mail.example", "[FIRING] NodeDown"), ("bob@mail.example", "[FIRING] On-call drill")]
    assert "/incidents/" not in house.mailbox.mails[-1].get_content()
    assert drilled(house, "17", "").told_at == NOW + 1
    assert len(house.sink.bodies("/chat")) == 1, "the page, and no drill"
    house.now += 1
    assert drilled(house, "17", "resolved").end_told_at is None
    house.wait(1)
    assert drilled(house, "17", "").end_told_at == NOW + 3
    assert [(one["title"], one["state"]) for one in house.hooked()] == [
        ("On-call drill", "firing"), ("On-call drill", "resolved")
    ]  # fmt: skip
    assert len({one["event"] for one in house.hooked()}) == 2


def test_a_drill_that_a_way_does_not_take_opens_nothing_and_is_given_up(house: House) -> None:
    house.settings = replace(house.settings, drills=DrillWays(("mail",), ("bob",)))
    house.settings.ways["mail"].mail.smarthost = f"127.0.0.1:{free_port()}"  # type: ignore[union-attr]
    house.restart()
    drilled(house, "17")
    for _ in range(30):
        house.wait(10)
    found = drilled(house, "17", "")
    assert found.told_at is None
    assert "mail" in found.problems
    assert (house.own(), house.taken, house.sink.posts) == ([], [], [])
    house.hear(alert())
    house.wait(1)
    assert house.sink.bodies("/chat"), "a real page goes its way"
    Drills(house.store, house.settings).forget(house.now + 8 * 86_400)
    assert Drills(house.store, house.settings).found("17") is None


def test_its_end_is_told_to_whoever_was_told_of_it(house: House) -> None:
    house.hear(alert())
    house.wait(0)
    house.store.confirm(1, "it is gone", house.now)
    house.wait(PEOPLE_REST_S)
    assert house.mails()[-1] == ("ann@mail.example", "[RESOLVED] NodeDown")
    assert house.hooked() == [], "the second step was never taken"


def test_a_ticket_goes_its_own_way_and_what_is_neither_goes_the_same(house: House) -> None:
    house.hear(alert("Ticket", severity="ticket"), alert("Odd", severity="odd"))
    house.wait(0)
    assert house.mails() == []
    (said,) = house.sink.bodies("/chat")
    assert "Ticket" in said["text"]
    assert "Odd" in said["text"]


def test_a_storm_is_few_messages_and_nothing_is_left_out(house: House) -> None:
    for number in range(120):
        house.hear(alert(f"Alert{number:03}"))
        house.wait(0.5)
    house.wait(PEOPLE_REST_S)
    assert len(house.mailbox.mails) <= 5
    text = "".join(mail.get_content() for mail in house.mailbox.mails)
    ids = " ".join(str(mail["X-Event-Ids"]) for mail in house.mailbox.mails).split()
    assert len(ids) == len(set(ids)) == 120
    assert "more; all are on the page of on-call" in text


def test_repeats_of_alertmanager_and_new_starts_are_the_same_incident(house: House) -> None:
    for starts_at in ("s1", "s1", "s2"):
        house.hear(alert(starts_at=starts_at))
        house.wait(30)
    assert len(house.mails()) == 1
    (incident,) = house.store.incidents(10)
    assert (incident.starts_at, incident.state) == ("s2", State.FIRING)


def test_what_somebody_resolved_is_not_opened_by_a_repeat_but_by_news(house: House) -> None:
    house.hear(alert())
    house.store.resolve(1, "ann", house.now)
    house.hear(alert())
    assert house.store.open_count() == 0
    house.hear(alert(starts_at="s2"))
    assert house.store.open_count() == 1


def test_a_silenced_incident_calls_nobody_until_the_silence_is_over(house: House) -> None:
    house.hear(alert())
    house.store.silenced(1, True, house.now)
    house.wait(700)
    assert house.mails() == []
    house.store.silenced(1, False, house.now)
    house.wait(0)
    assert {to for to, _ in house.mails()} == {"ann@mail.example", "zoe@mail.example"}
    assert house.store.resolve(1, "ann", house.now)


def test_a_kill_between_sending_and_writing_that_down_repeats_with_the_same_id(house: House) -> None:
    house.hear(alert())
    house.store.escalate(house.settings, house.now)
    for way, speaker in ways_of(house.settings, house.store).items():
        due = [one for one in house.store.due(house.now) if one.way == way]
        if due:
            speaker.tell(due[0].person, due)  # and then the process dies
    house.restart()
    house.wait(0)
    first, second = house.mailbox.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["X-Event-Ids"] == second["X-Event-Ids"]
    house.restart()
    house.wait(PEOPLE_REST_S)
    assert len(house.mailbox.mails) == 2


def test_a_way_that_fails_is_an_incident_told_by_the_others_which_bring_what_it_could_not(house: House) -> None:
    mail = house.settings.ways["mail"].mail
    assert mail
    whole = mail.smarthost
    mail.smarthost = f"127.0.0.1:{free_port()}"
    house.hear(alert())
    house.wait(0)
    assert house.own() == []
    for _ in range(4):
        house.wait(MAX_RETRY_S)
    assert house.own() == ["Notifications by mail fail"]
    told = {(one["title"], one["cause"]) for one in house.hooked()}
    assert ("NodeDown", "step 1, since mail does not work") in told
    assert "Notifications by mail fail" in "".join(body["text"] for body in house.sink.bodies("/chat"))
    assert house.taken.count(False) >= 3
    mail.smarthost = whole
    house.wait(MAX_RETRY_S)
    house.wait(PEOPLE_REST_S)
    assert ("ann@mail.example", "[FIRING] NodeDown and 1 more") in house.mails(), "the second step was due as well"
    assert house.own() == []
    assert house.store.unsent_count() == 0
    lines = [line.what for line in house.store.incident(1)[1]]  # type: ignore[index]
    assert lines.count("not notified") == 1, "the first failure is told, not each"


def test_what_nobody_takes_is_given_up_after_long_and_that_is_written_down(house: House) -> None:
    (house.settings.folder / "chat-url").write_text("http://127.0.0.1:1/secret-part")
    house.hear(alert("Ticket", severity="ticket"))
    for _ in range(GIVE_UP_AFTER_TRIES + 1):
        house.wait(MAX_RETRY_S)
    lines = [line for line in house.store.incident(1)[1] if line.what == "not notified"]  # type: ignore[index]
    assert len(lines) == 2
    assert "secret-part" not in str(lines)
    assert house.store.unsent_count() == 0
    assert "Notifications by chat fail" in {subject.split("] ")[1].split(" and")[0] for _, subject in house.mails()}


def test_retries_come_further_apart(house: House) -> None:
    (house.settings.folder / "chat-url").write_text("http://127.0.0.1:1/")
    house.hear(alert("Ticket", severity="ticket"))
    for wait_s in (0.0, FIRST_RETRY_S, 2 * FIRST_RETRY_S):
        house.wait(wait_s)
        (waiting,) = [one for one in house.store.due(house.now + 1e6) if one.way == "chat" and one.incident == 1]
    assert waiting.tries == 3


def test_what_is_long_over_is_forgotten_and_what_is_open_is_not(house: House) -> None:
    house.hear(alert("Old"), alert("Open"))
    house.wait(0)
    house.store.resolve(1, "ann", house.now)
    house.wait(86_400)
    house.hear(alert("New"))
    house.store.resolve(3, "ann", house.now)
    house.store.forget(house.now - 3_600)
    assert {one.title for one in house.store.incidents(10)} == {"Open", "New"}
    assert house.store.incident(1) is None
    assert [event.labels["alertname"] for event in house.store.latest(10)] == ["New"]


class TestSchedule:
    BERLIN = ZoneInfo("Europe/Berlin")
    ROTATION = Rotation("primary", ("ann", "bob", "zoe"), date(2026, 3, 16), time(9), BERLIN)

    def test_a_turn_begins_at_its_hour_on_the_clock_of_its_place_all_year(self) -> None:
        """Both changes of the clock lie in the span: nobody's turn begins an hour early or late."""
        first = datetime(2026, 3, 16, 9, tzinfo=self.BERLIN)
        for week in range(60):
            handover = datetime.combine(first.date() + timedelta(weeks=week), time(9), self.BERLIN)
            people = self.ROTATION.people
            assert self.ROTATION.on_call(handover) == people[week % 3]
            assert self.ROTATION.on_call(handover.astimezone(UTC) - timedelta(seconds=1)) == people[(week - 1) % 3]

    def test_every_moment_is_somebodys_and_turns_follow_each_other(self) -> None:
        standing_in = Override(
            datetime(2026, 3, 18, 18, tzinfo=self.BERLIN), datetime(2026, 3, 19, 8, tzinfo=self.BERLIN), "max"
        )
        rotation = replace(self.ROTATION, overrides=(standing_in,))
        turns = list(rotation.turns(datetime(2026, 3, 17, 12, tzinfo=UTC), 5))
        assert [person for *_, person in turns] == ["ann", "max", "ann", "bob", "zoe"]
        assert all(one[1] == two[0] for one, two in itertools.pairwise(turns))
        for start, end, person in turns:
            assert rotation.on_call(start) == rotation.on_call(end - timedelta(seconds=1)) == person

    def test_an_hour_that_comes_twice_belongs_to_one_turn(self) -> None:
        """25 October 2026, 02:30 in Berlin: the handover is the first of the two."""
        rotation = Rotation("night", ("ann", "bob"), date(2026, 10, 18), time(2, 30), self.BERLIN)
        first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        assert [rotation.on_call(first + timedelta(minutes=m)) for m in (-1, 0, 59, 60, 61)] == ["ann", *["bob"] * 4]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "people: [ann, bob]",
            "people: [ann, bop]",
            7,
            "rotations.primary.people.1: unknown or unsupported person 'bop'; did you mean 'bob'?",
        ),
        ("people: [ann, bob]", "people: []", 7, "rotations.primary.people: nobody takes a turn"),
        ("Europe/Berlin", "Europe/Berln", 8, "rotations.primary.zone: no time zone 'Europe/Berln'"),
        ("2026-03-02", "soon", 9, "rotations.primary.since: 'soon' is no date"),
        ('"09:00"', '"9am"', 10, "rotations.primary.at"),
        ("to: 2026-03-05T08:00", "to: 2026-03-04T08:00", 12, "expected a moment after 2026-03-04T18:00"),
        ("from: 2026-03-04T18:00", "from: tonight", 12, "'tonight' is no moment"),
        (
            "tell: [primary], by: [mail, chat]",
            "tell: [secondary], by: [mail]",
            15,
            "tell.0: unknown or unsupported person or rotation 'secondary'",
        ),
        ("by: [mail, hook]", "by: [pigeon]", 16, "escalation.page.1.by.0: unknown or unsupported way 'pigeon'"),
        ("after: 10m, ", "", 16, "escalation.page.1.after: expected later than the step before it"),
        ("  bob: {mail: bob@mail.example}", "  bob: {}", 15, "mail cannot reach bob: people.bob.mail is missing"),
        ("{chat: {url_file: chat-url}}", "{}", 21, "ways.chat: expected exactly one of mail, chat, hook, messenger"),
        ("url_file: chat-url", "url_file: nowhere", 21, "ways.chat.chat.url_file: there is no file"),
        ("  page:\n", "  pages:\n", 14, "pages"),
        ("  primary:\n", "  zoe:\n", 7, "rotations.zoe: a person is called so, too"),
        ("ways:\n", "drills: {by: [pigeon]}\nways:\n", 19, "drills.by.0: unknown or unsupported way 'pigeon'"),
        ("ways:\n", "drills: {by: [mail]}\nways:\n", 19, "drills.tell: names no person"),
        (
            "ways:\n",
            "drills: {by: [mail], tell: [primary]}\nways:\n",
            19,
            "drills.tell.0: unknown or unsupported person",
        ),
    ],
)
def test_each_mistake_in_the_file_is_named_with_its_line(
    house: House, old: str, new: str, line: int, message: str
) -> None:
    path = house.settings.folder / "oncall.yaml"
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert f"oncall.yaml:{line}: " in str(refused.value), str(refused.value)
    assert message in str(refused.value), str(refused.value)


def test_a_way_that_hangs_holds_up_no_other(house: House) -> None:
    hanging, let_go = threading.Event(), threading.Event()

    class Hanging:
        rest_s = 0.0

        def tell(self, _person: str, _batch: Sequence[Notification]) -> None:
            hanging.set()
            assert let_go.wait(20)

    house.dispatcher = Dispatcher(house.store, house.settings, house.ways | {"chat": Hanging()}, clock=lambda: NOW)
    house.hear(alert())
    house.dispatcher.escalate()
    stuck = threading.Thread(target=house.dispatcher.send, args=("chat",))
    stuck.start()
    assert hanging.wait(20)
    house.dispatcher.send("mail")
    assert house.mails() == [("ann@mail.example", "[FIRING] NodeDown")]
    let_go.set()
    stuck.join(20)
    assert house.store.due(NOW) == []
