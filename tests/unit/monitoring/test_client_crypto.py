"""Devices encrypt for each other: who is present reads exactly what was said, who is gone nothing after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.client.crypto.groups import MAX_MESSAGES
from monitoring.client.crypto.machine import ENCRYPTED, CryptoError, Machine, MissingKey, UnknownDevice
from monitoring.client.crypto.names import user_name

CONV = 5
ANN, BOB = 1, 2


class World:
    """Machines, and what lies between them."""

    def __init__(self, *devices: tuple[int, int]) -> None:
        self.machines = {device: Machine(user, device) for user, device in devices}
        self.identities: dict[int, Any] = {}
        self.one_time: dict[int, dict[str, Any]] = {}
        self.gone: set[int] = set()
        self.inboxes: dict[int, list[tuple[int, int, Any]]] = {device: [] for device in self.machines}
        for device in self.machines:
            self.publish(device)

    def publish(self, device: int) -> None:
        machine = self.machines[device]
        body = machine.to_upload()
        assert body is not None
        self.identities[device] = body["device_keys"]
        self.one_time[device] = dict(body["one_time_keys"])
        machine.uploaded({"signed_curve25519": len(body["one_time_keys"])})

    def add(self, user: int, device: int) -> Machine:
        self.machines[device], self.inboxes[device] = Machine(user, device), []
        self.publish(device)
        self.outdate()
        return self.machines[device]

    def remove(self, device: int) -> None:
        self.gone.add(device)
        self.outdate()

    def outdate(self) -> None:
        for machine in self.machines.values():
            machine.directory.outdate_all()

    def query(self, machine: Machine, users: Iterable[int]) -> None:
        keys: dict[str, dict[str, Any]] = {user_name(user): {} for user in users}
        for device, identity in self.identities.items():
            if identity["user_id"] in keys and device not in self.gone:
                keys[identity["user_id"]][str(device)] = identity
        machine.directory.learn(users, {"device_keys": keys})

    def claim(self, machine: Machine, users: Iterable[int]) -> None:
        wanted = machine.to_claim(users)
        if wanted is not None:
            answer = {
                user: {device: dict([self.one_time[int(device)].popitem()]) for device in devices}
                for user, devices in wanted["one_time_keys"].items()
            }
            machine.claimed(users, {"one_time_keys": answer}, 0.0)

    def prepare(self, device: int, users: Iterable[int]) -> Machine:
        machine = self.machines[device]
        self.query(machine, machine.directory.stale(users))
        self.claim(machine, users)
        return machine

    def post(self, machine: Machine, messages: dict[str, dict[str, Any]]) -> None:
        for devices in messages.values():
            for to, content in devices.items():
                self.inboxes[int(to)].append((machine.user, machine.device, content))

    def say(self, device: int, text: str, users: Iterable[int] = (ANN, BOB), now: float = 0.0) -> str:
        machine = self.prepare(device, users)
        self.post(machine, machine.to_share(CONV, users, now))
        return machine.encrypt(CONV, {"msgtype": "m.text", "body": text})

    def read(self, device: int, sender: int, body: str, message: str = "m") -> str:
        machine = self.machines[device]
        for user, of, content in self.inboxes[device]:
            machine.receive(user, of, ENCRYPTED, content, 0.0)
        self.inboxes[device] = []
        self.query(machine, machine.directory.stale((ANN, BOB)))
        return str(machine.decrypt(CONV, self.machines[sender].user, sender, message, body)["body"])


@pytest.fixture
def world() -> World:
    return World((ANN, 11), (BOB, 21), (BOB, 22))


def test_every_device_of_both_people_reads_what_was_said(world: World) -> None:
    body = world.say(11, "hello")
    assert "hello" not in body
    assert [world.read(device, 11, body) for device in (11, 21, 22)] == ["hello"] * 3
    answer = world.say(22, "hi")
    assert [world.read(device, 22, answer) for device in (11, 21, 22)] == ["hi"] * 3


def test_a_removed_device_cannot_read_what_follows_although_it_keeps_its_keys(world: World) -> None:
    assert world.read(22, 11, world.say(11, "all of you")) == "all of you"
    world.remove(22)
    body = world.say(11, "only us")
    assert world.read(21, 11, body) == "only us"
    assert world.inboxes[22] == []
    with pytest.raises(MissingKey):
        world.read(22, 11, body)


def test_who_leaves_the_conversation_cannot_read_what_follows(world: World) -> None:
    world.read(21, 11, world.say(11, "both"))
    with pytest.raises(MissingKey):
        world.read(21, 11, world.say(11, "alone", users=[ANN]))


def test_a_new_device_reads_from_where_it_came(world: World) -> None:
    before = world.say(11, "before")
    world.add(BOB, 23)
    after = world.say(11, "after")
    assert world.read(23, 11, after) == "after"
    with pytest.raises(CryptoError):
        world.read(23, 11, before)


def test_history_is_handed_to_a_linked_device(world: World) -> None:
    before = world.say(11, "long ago")
    world.read(21, 11, before)
    world.remove(11)  # also what somebody said whose device is gone by now
    world.add(BOB, 23)
    machine = world.prepare(21, [BOB])
    for messages in machine.history_for(23):
        world.post(machine, messages)
    assert world.read(23, 11, before) == "long ago"


def test_history_is_taken_from_own_devices_only(world: World) -> None:
    body = world.say(21, "between us")
    world.read(22, 21, body)
    machine = world.prepare(22, [ANN, BOB])
    stranger = World((ANN, 11), (BOB, 21), (BOB, 22))
    assert machine.history_for(11) == []  # a device of somebody else
    with pytest.raises((MissingKey, UnknownDevice)):
        stranger.read(11, 21, body)


def test_a_session_is_replaced_after_a_hundred_messages_and_after_a_week(world: World) -> None:
    def session(body: str) -> str:
        return str(json.loads(body)["session_id"])

    first = session(world.say(11, "0"))
    assert {session(world.say(11, str(n))) for n in range(1, MAX_MESSAGES)} == {first}
    second = session(world.say(11, "more"))
    assert second != first
    assert session(world.say(11, "later", now=8 * 86_400.0)) not in (first, second)


def test_a_message_repeated_under_another_name_is_refused(world: World) -> None:
    body = world.say(11, "once")
    assert world.read(21, 11, body, "a") == "once" == world.read(21, 11, body, "a")
    with pytest.raises(CryptoError, match="repeated"):
        world.read(21, 11, body, "b")


def test_a_message_of_somebody_else_is_refused(world: World) -> None:
    body = world.say(21, "I am bob")
    with pytest.raises(CryptoError, match="person"):
        world.read(11, 11, body)
    with pytest.raises(CryptoError, match="device"):
        world.read(11, 22, body)


def test_a_device_whose_keys_change_or_are_not_its_own_gets_nothing(world: World) -> None:
    world.say(11, "before")
    changed = Machine(BOB, 22).to_upload()
    assert changed is not None
    world.identities[22] = changed["device_keys"]
    forged = Machine(BOB, 23).to_upload()
    assert forged is not None
    world.identities[23] = forged["device_keys"] | {"signatures": {}}
    world.machines[11].directory.outdate_all()
    world.inboxes[22].clear()
    world.say(11, "after")
    assert world.machines[11].directory.suspicious == {(BOB, 22), (BOB, 23)}
    assert world.inboxes[22] == []


def test_a_claimed_key_that_its_device_did_not_sign_makes_no_session(world: World) -> None:
    for keys in world.one_time.values():
        for key in keys.values():
            key["key"] = Machine(BOB, 99).curve25519
    world.say(11, "to nobody")
    assert world.inboxes == {11: [], 21: [], 22: []}


def test_a_broken_session_is_replaced_once_an_hour(world: World) -> None:
    world.read(21, 11, world.say(11, "hello"))
    fresh = Machine.load(world.machines[21].dump())
    fresh._sessions.clear()  # as after restoring an old copy
    world.machines[21] = fresh
    world.say(11, "again", now=8 * 86_400.0)
    (item,) = world.inboxes[21]
    with pytest.raises(CryptoError):
        fresh.receive(*item[:2], ENCRYPTED, item[2], 0.0)
    world.inboxes[21].clear()
    machine = world.prepare(21, [ANN, BOB])
    world.post(machine, machine.mended([ANN, BOB]))
    ann = world.machines[11]
    assert [ann.receive(*i[:2], ENCRYPTED, i[2], 0.0) for i in world.inboxes[11]] == ["m.dummy"]
    with pytest.raises(CryptoError):
        fresh.receive(*item[:2], ENCRYPTED, item[2], 10.0)
    assert machine.to_claim([ANN]) is None


@pytest.mark.parametrize(
    "content",
    [{}, {"sender_key": 7, "ciphertext": {}}, {"sender_key": "a", "ciphertext": []}, {"ciphertext": None}],
)
def test_malformed_items_raise_nothing_else(world: World, content: Any) -> None:
    with pytest.raises(CryptoError):
        world.machines[11].receive(BOB, 21, ENCRYPTED, content, 0.0)


@given(st.text(max_size=40) | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)).map(json.dumps))
@settings(max_examples=60, deadline=None)
def test_malformed_messages_raise_nothing_else(body: str) -> None:
    with pytest.raises(CryptoError):
        Machine(ANN, 11).decrypt(CONV, BOB, 21, "m", body)


def test_a_device_that_is_started_again_and_again_uploads_no_more_keys(world: World) -> None:
    machine = Machine.load(json.loads(json.dumps(world.machines[21].dump())))
    assert machine.to_upload() is None
    machine.counted({"signed_curve25519": 40}, ["signed_curve25519"])
    first = Machine.load(machine.dump())
    body = first.to_upload()
    assert body == Machine.load(first.dump()).to_upload(), "killed before it knew that they were taken"
    assert len(body["one_time_keys"]) == 10


def test_what_is_kept_reads_on(world: World) -> None:
    body = world.say(11, "kept")
    world.read(21, 11, body)
    world.machines[21] = Machine.load(json.loads(json.dumps(world.machines[21].dump())))
    assert world.read(21, 11, body) == "kept"
    assert world.read(21, 11, world.say(11, "and on")) == "and on"
    with pytest.raises(CryptoError):
        Machine.load({"user": 1})


@given(st.lists(st.tuples(st.sampled_from(["say", "add", "remove"]), st.integers(0, 9)), max_size=12))
@settings(max_examples=25, deadline=None)
def test_who_is_present_reads_exactly_what_was_said_meanwhile(steps: list[tuple[str, int]]) -> None:
    world = World((ANN, 11), (BOB, 21))
    present, spoken = [11, 21], 0
    for step, choice in steps:
        if step == "add":
            device = 30 + len(world.machines)
            world.add((ANN, BOB)[choice % 2], device)
            present.append(device)
        elif step == "remove" and len(present) > 1:
            device = present.pop(choice % len(present))
            world.remove(device)
        else:
            sender, spoken = present[choice % len(present)], spoken + 1
            body = world.say(sender, str(spoken))
            for device in world.machines:
                if device in present:
                    assert world.read(device, sender, body, str(spoken)) == str(spoken)
                else:
                    with pytest.raises(CryptoError):
                        world.machines[device].decrypt(CONV, world.machines[sender].user, sender, str(spoken), body)
