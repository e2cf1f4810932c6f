"""How soon devices hear of each other: three nodes, Redis, encrypting clients, everything on the same machine.

Each figure is the time from the request or the frame of one device until another one, on another node, has what came
of it. Median, least and greatest of all rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from deploy.bench.node import bed, redis, running
from deploy.bench.report import Figure, spread
from deploy.bench.size import Size
from monitoring.client.api import Account, Api
from monitoring.client.secure import SecureDevice

TITLE = "Devices on three nodes"
WITHIN_S = 20.0
PASSWORD = "only for the benchmark"  # noqa: S105


class Device:
    """An encrypting device and what it heard."""

    def __init__(self, api: Api, account: Account) -> None:
        self.account = account
        self.events: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.device = SecureDevice(
            api, account, on_message=lambda m: self.texts.append(m.text), on_event=self.events.append
        )
        self.device.connect()
        wait(lambda: self.heard("synced"))

    def heard(self, kind: str, **fields: Any) -> bool:
        """Whether such an event came."""
        return any(e["type"] == kind and all(e.get(k) == v for k, v in fields.items()) for e in tuple(self.events))


def wait(seen: Callable[[], bool]) -> float:
    """Until `seen`; the moment (perf_counter, seconds). Raises RuntimeError when it takes too long."""
    deadline = time.perf_counter() + WITHIN_S
    while not seen():
        if time.perf_counter() > deadline:
            raise RuntimeError("a device did not hear in time")
        time.sleep(0.0005)
    return time.perf_counter()


def run(size: Size) -> list[Figure]:
    """Rounds of: an encrypted message, a read marker, an item for one device, a ring, a revocation."""
    with ExitStack() as stack:
        made = stack.enter_context(bed())
        url = stack.enter_context(redis(made))
        nodes = stack.enter_context(running(made, 3, REDIS_URL=url, AUTH_ATTEMPTS_PER_MINUTE="100000"))
        one, two, three = (Api(f"http://127.0.0.1:{node.port}") for node in nodes)
        ann = Device(one, one.register("ann", PASSWORD))
        bob = Device(two, two.register("bob", PASSWORD))
        phone = Device(three, three.login("bob", PASSWORD, "MOBILE"))
        conv = one.create_conversation(ann.account, ["bob"])
        rows = [_round(number, ann, bob, phone, conv, three) for number in range(size.rounds)]
        for one_device in (ann, bob, phone):
            one_device.device.close()
    names = (
        "encrypted message read on another node", "read marker on the reader's other device", "ring on another node",
        "revoked device closed", "its contacts told",
    )  # fmt: skip
    return [Figure(name, "ms", spread([row[i] * 1e3 for row in rows])) for i, name in enumerate(names)]


def _round(number: int, ann: Device, bob: Device, phone: Device, conv: int, api: Api) -> list[float]:
    """Seconds for each figure."""
    text = f"round {number}"
    began = time.perf_counter()
    ann.device.send(conv, text)
    read = wait(lambda: text in phone.texts) - began
    wait(lambda: text in bob.texts)

    seq = max(e["seq"] for e in bob.events if e["type"] == "message")
    began = time.perf_counter()
    bob.device.read(conv, seq)
    marked = wait(lambda: phone.heard("read", seq=seq)) - began

    call = f"call-{number}"
    began = time.perf_counter()
    ann.device.call("invite", conv, call, user=bob.account.user)
    rang = wait(lambda: phone.heard("call.invite", call=call)) - began
    ann.device.call("hangup", conv, call)

    lost = Device(api, api.login("bob", PASSWORD))
    socket = lost.device.socket
    before = len([e for e in ann.events if e["type"] == "device_lists"])
    began = time.perf_counter()
    bob.device.revoke(lost.account.device)
    closed = wait(lambda: socket is not None and socket.closed.is_set()) - began
    told = wait(lambda: len([e for e in tuple(ann.events) if e["type"] == "device_lists"]) > before) - began
    return [read, marked, rang, closed, told]
