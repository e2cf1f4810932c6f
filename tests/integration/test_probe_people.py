"""Probes of the monitoring are marked when they are registered, meet only probes, and are not in users' numbers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import OF_USERS
from monitoring.client.api import Account
from tests.support.people import PASSWORD, Listener, listening, register
from tests.support.servers import Node, eventually, running_node, running_redis

PROBE_TOKEN = "probe-token-of-the-tests-0123456789"
MARKED = {"PROBE_TOKEN": PROBE_TOKEN}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def node(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running_node(shared_database_url, tmp_path_factory.mktemp("probes") / "log", **MARKED) as running:
        yield running


def ask(node: Node, path: str, form: dict[str, Any], token: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(node.api.base_url + path, json=form, headers=headers, timeout=10)


def credentials() -> dict[str, Any]:
    return {"name": f"canary-{next(_numbers)}", "password": PASSWORD}


def register_probe(node: Node) -> Account:
    form = credentials()
    answer = ask(node, "/auth/register", {**form, "probe": True}, PROBE_TOKEN)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Account(form["name"], made["user"], made["device"], made["access_token"], made["refresh_token"])


def one_of(node: Node, kind: str) -> Account:
    return register_probe(node) if kind == "probe" else register(node.api)


def numbers(node: Node) -> Counter[tuple[str, str]]:
    """What was counted: (series, path) of fan-out, and requests under the path "requests"."""
    text = requests.get(f"http://127.0.0.1:{node.metrics_port}/metrics", timeout=5).text
    counted: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "messenger_requests_total":
                counted[sample.name, "requests"] += int(sample.value)
            elif "path" in sample.labels and sample.name.endswith(("_total", "_count")):
                series = f"{sample.name} {sample.labels.get('stage', '')}".strip()
                counted[series, sample.labels["path"]] += int(sample.value)
    return counted


def moved(node: Node, before: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """What was counted since then, of the paths that probes and users have."""
    wanted = OF_USERS | {"probe", "requests"}
    return Counter({key: n for key, n in (numbers(node) - before).items() if key[1] in wanted})


def paths(counted: Counter[tuple[str, str]]) -> set[str]:
    return {path for _, path in counted}


def talk(phone: Listener, others: list[Listener], conv: int, reader: Account) -> None:
    """A message, its receipt and a read marker, each waited for by everybody who is told."""
    seq = phone.send(conv, "all is well")["seq"]
    for listener in others:
        listener.next("message", seq=seq)
    phone.next("receipt", conv=conv, seq=seq)
    others[0].socket.command({"type": "read", "conv": conv, "seq": seq})
    for listener in (phone, *others):
        listener.next("read", user=reader.user, seq=seq)


# --- who is one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "another-token-of-the-tests-0123456789", PROBE_TOKEN + "0"])
def test_nobody_is_marked_without_the_token(node: Node, token: str | None) -> None:
    form = credentials()
    refused = ask(node, "/auth/register", {**form, "probe": True}, token)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert ask(node, "/auth/login", form).status_code == 401  # nobody was made
    assert ask(node, "/auth/register", {**form, "probe": False}).status_code == 201


def test_where_no_token_is_configured_there_are_no_probes(database_url: str, tmp_path: Path) -> None:
    with running_node(database_url, tmp_path / "log") as node:
        for token in (None, PROBE_TOKEN, "None"):
            assert ask(node, "/auth/register", {**credentials(), "probe": True}, token).status_code == 401


@pytest.mark.parametrize(("kind", "other"), [("probe", "user"), ("user", "probe")])
def test_probes_and_people_never_meet(node: Node, kind: str, other: str) -> None:
    ann, bob, stranger = one_of(node, kind), one_of(node, kind), one_of(node, other)
    conv = node.api.create_conversation(ann, [bob.name])
    members = f"/api/conversations/{conv}/members"
    for path, names in (
        ("/api/conversations", [stranger.name]),
        ("/api/conversations", [bob.name, stranger.name]),
        (members, [stranger.name]),
        (members, [one_of(node, kind).name, stranger.name]),
    ):
        refused = ask(node, path, {"members": names}, ann.access_token)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
        assert [detail["field"] for detail in refused.json()["details"]] == ["members"]
    assert node.api.conversations(stranger) == []
    assert ask(node, members, {"members": [one_of(node, kind).name]}, ann.access_token).status_code == 204


# --- what is counted -------------------------------------------------------------------------------------


KINDS = pytest.mark.parametrize(("kind", "own"), [("probe", {"probe"}), ("user", {*OF_USERS, "requests"})])
"""Each on nodes of its own: receipts and cursors of an earlier conversation may be counted a second after its end."""


@KINDS
def test_a_probe_moves_only_its_own_path_and_a_user_only_theirs(
    database_url: str, tmp_path: Path, kind: str, own: set[str]
) -> None:
    with running_node(database_url, tmp_path / "log", **MARKED) as node, ExitStack() as stack:
        ann, bob = one_of(node, kind), one_of(node, kind)
        tablet = node.api.login(bob.name, PASSWORD)
        conv = node.api.create_conversation(ann, [bob.name])
        phone, *others = [stack.enter_context(listening(node.api, who)) for who in (ann, bob, tablet)]
        before = numbers(node)
        talk(phone, others, conv, bob)
        told = moved(node, before)
        assert paths(told) == own
        owed = {path: n for (series, path), n in told.items() if series == "messenger_fanout_owed_total"}
        # The message goes to three devices, the marker too; receipts to the sender's, once or twice.
        assert sum(owed.values()) >= 3 + 3 + 1
        if kind == "user":
            assert (owed["message"], owed["read_sync"], owed["read"]) == (3, 1, 2)


@KINDS
@pytest.mark.parametrize("bus", [False, True], ids=["by the log", "by the bus"])
def test_on_another_node_a_probe_moves_only_its_own_path(
    database_url: str, tmp_path: Path, kind: str, own: set[str], bus: bool
) -> None:
    with ExitStack() as stack:
        more = MARKED | ({"REDIS_URL": stack.enter_context(running_redis(tmp_path))} if bus else {})
        one, two = [stack.enter_context(running_node(database_url, tmp_path / name, **more)) for name in ("one", "two")]
        ann, bob = one_of(one, kind), one_of(one, kind)
        tablet = one.api.login(bob.name, PASSWORD)
        conv = one.api.create_conversation(ann, [bob.name])
        places = ((one, ann), (two, bob), (two, tablet))
        phone, *others = [stack.enter_context(listening(at.api, who)) for at, who in places]
        before = [numbers(node) for node in (one, two)]
        seq = phone.send(conv, "far away")["seq"]
        for listener in others:
            listener.next("message", seq=seq)
        others[0].socket.command({"type": "read", "conv": conv, "seq": seq})
        for listener in (phone, *others):
            listener.next("read", user=bob.user, seq=seq)
        here, there = [moved(node, then) for node, then in zip((one, two), before, strict=True)]
        assert paths(here + there) | {"receipt"} == own | {"receipt"}  # without a bus those do not cross
        brought_by = "messenger_fanout_stage_seconds_count relay" if bus else "messenger_fanout_recovered_total"
        assert there[brought_by, "probe" if kind == "probe" else "message"] == 1


def test_what_waits_for_a_database_that_stands_still_is_owed_under_the_probes_path(
    database_url: str, tmp_path: Path
) -> None:
    with running_node(database_url, tmp_path / "log", **MARKED) as node, closing(psycopg2.connect(database_url)) as db:
        ann, bob = register_probe(node), register_probe(node)
        conv = node.api.create_conversation(ann, [bob.name])
        laptop = node.api.login(ann.name, PASSWORD)
        with ExitStack() as stack:
            phone, at_laptop, at_bob = [
                stack.enter_context(listening(node.api, who)) for who in (ann, laptop, bob)
            ]  # fmt: skip
            seq = phone.send(conv, "before")["seq"]
            for listener in (phone, at_laptop, at_bob):
                listener.next("message", seq=seq)
            before = numbers(node)
            db.cursor().execute("LOCK TABLE messages, read_markers IN SHARE ROW EXCLUSIVE MODE")
            phone.socket.send_message(conv, "waits")
            phone.socket.command({"type": "read", "conv": conv, "seq": seq})
            owed = "messenger_fanout_owed_total"
            eventually(lambda: moved(node, before)[owed, "probe"], lambda n: n == 3 + 1)  # and the laptop's marker
            db.rollback()
            at_laptop.next("message", body="waits")
            at_bob.next("read", user=ann.user)
            eventually(lambda: at_laptop.events("read", user=ann.user))
            told = moved(node, before)
            assert paths(told) == {"probe"}


def test_what_probes_ask_is_none_of_the_users_requests(node: Node) -> None:
    canary, user = register_probe(node), register(node.api)
    before = numbers(node)
    node.api.login(canary.name, PASSWORD)
    node.api.refresh(canary)
    node.api.conversations(canary)
    node.api.create_conversation(canary, [register_probe(node).name])
    assert ask(node, "/api/conversations", {"members": ["nobody-at-all"]}, canary.access_token).status_code == 400
    with listening(node.api, canary) as phone:
        phone.next("synced")
        phone.socket.send_message(999_999, "not mine")
        phone.next("error", code="forbidden")
        phone.socket.command({"type": "unheard of"})
        phone.next("error", code="invalid_request")
    assert paths(moved(node, before)) <= {"probe"}
    node.api.conversations(user)
    assert moved(node, before)["messenger_requests_total", "requests"] == 1
