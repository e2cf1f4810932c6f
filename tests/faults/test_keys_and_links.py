"""Keys, inboxes and links while nodes, Redis and the way to the database fail."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from monitoring.client.api import Account, Api, ApiError
from monitoring.client.crypto.machine import Machine
from monitoring.client.crypto.names import user_name
from monitoring.client.socket import wait_for_link
from tests.support.fleet import Fleet
from tests.support.people import Listener, register
from tests.support.servers import eventually

CLAIMERS = 6


def uploaded(api: Api, account: Account) -> set[str]:
    """The one-time keys that this device has made public."""
    body = Machine(account.user, account.device).to_upload()
    assert body is not None
    api.call("POST", "/api/keys/upload", body, account.access_token)
    return {key["key"] for key in body["one_time_keys"].values()}


def together(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)


def test_no_key_is_handed_out_twice_although_nodes_die_in_the_midst(fleet: Fleet) -> None:
    """Six people claim of one device on three machines at once; workers are killed; no answer comes twice."""
    target = register(fleet.machines[0].api, "target")
    keys = uploaded(fleet.machines[0].api, target)
    people = [register(fleet.machines[0].api, "claimer") for _ in range(CLAIMERS)]
    for person in people:
        fleet.machines[0].api.create_conversation(person, [target.name])
    form = {"one_time_keys": {user_name(target.user): {str(target.device): "signed_curve25519"}}}
    got: list[str] = []
    killed = threading.Event()

    def claim(person: Account, machines: itertools.cycle[Any]) -> None:
        answered = 0
        while answered < 12:
            try:
                answer = next(machines).api.call("POST", "/api/keys/claim", form, person.access_token)
            except ApiError as error:
                assert error.status in (0, 502, 503), error  # a node that died; the next one answers
                continue
            (key,) = answer["one_time_keys"][user_name(target.user)][str(target.device)].values()
            got.append(key["key"])
            answered += 1
            if answered == 3:
                killed.wait(timeout=20)

    def kill() -> None:
        eventually(lambda: len(got) >= CLAIMERS)
        for at in fleet.machines:
            at.worker(0).kill()
        killed.set()

    works = [
        lambda p=person, n=number: claim(p, itertools.cycle(fleet.machines[n % 3 :] + fleet.machines[: n % 3]))
        for number, person in enumerate(people)
    ]
    together([*works, kill])
    fleet.wait_until_whole()
    assert len(got) == 12 * CLAIMERS, "everybody got an answer"
    times = Counter(got)
    assert {key: count for key, count in times.items() if key in keys and count > 1} == {}
    assert len(set(times) - keys) == 1, "what came when they had run out was the fallback key"


def test_inboxes_lose_nothing_and_keep_their_order_without_redis(fleet: Fleet) -> None:
    """Items are sent on every machine while Redis is away and the receiver's is killed; each arrives once, in order."""
    ann, bob = register(fleet.machines[0].api), register(fleet.machines[1].api)
    fleet.machines[0].api.create_conversation(ann, [bob.name])
    heard: list[int] = []
    at_bob = Listener(fleet.machines[1].api, bob)

    def send(number: int) -> None:
        messages = {user_name(bob.user): {str(bob.device): {"n": number}}}
        for at in itertools.cycle(fleet.machines):  # the same txn on the next machine sends nothing twice
            try:
                at.api.call("PUT", f"/api/to-device/m.test/{number}", {"messages": messages}, ann.access_token)
            except ApiError as error:
                assert error.status in (0, 502, 503), error
            else:
                return

    for number in range(30):
        send(number)
        if number == 8:
            fleet.kill_redis()
        if number == 16:
            for worker in range(3):
                fleet.machines[1].worker(worker).kill()
            eventually(at_bob.socket.closed.is_set)
            heard += [event["content"]["n"] for event in at_bob.events("to_device")]
            known = at_bob.socket
            at_bob = Listener(
                fleet.machines[2].api, bob, dict(known.cursors), known.welcome["epoch"], inbox=known.session.inbox
            )
        if number == 24:
            fleet.start_redis()
    fleet.wait_until_whole()
    eventually(lambda: at_bob.events("to_device", content={"n": 29}))
    heard += [event["content"]["n"] for event in at_bob.events("to_device")]
    assert heard == list(range(30))
    at_bob.socket.close()


def test_a_device_is_linked_while_redis_is_away(fleet: Fleet) -> None:
    """Each step on another machine; the log alone tells who waits."""
    one, two, three = (at.api for at in fleet.machines)
    ann = register(one)
    at_ann = Listener(one, ann)
    fleet.kill_redis()
    offer = two.offer_link(ann)
    claim = three.claim_link(offer["payload"], "MOBILE", "phone")
    assert at_ann.next("link", event="claimed")["comparison"] == claim["comparison"]
    decision: list[str] = []
    waiting = threading.Thread(target=lambda: decision.append(wait_for_link(two.ws_url, claim["claim_token"], 30)))
    waiting.start()
    three.confirm_link(ann, offer["link"])
    waiting.join(timeout=30)
    assert decision == ["confirmed"]
    phone = one.collect_link(ann.name, claim["claim_token"])
    at_ann.next("device", device=phone.device, event="linked")
    at_ann.next("link", event="completed", device=phone.device)
    at_ann.socket.close()
    fleet.start_redis()
