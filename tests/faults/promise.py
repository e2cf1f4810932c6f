"""The promise, asked of a crowd after a fault: what was acknowledged is what all devices applied and what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from app.domain.log import Kind
from tests.support.crowd import Crowd, Device, seeded
from tests.support.fleet import Fleet
from tests.support.servers import eventually
from tests.support.sql import rows

RATE_PER_S = 100


@contextmanager
def crowd(
    fleet: Fleet, count: int = 24, *, size: int = 8, each: int = 2, ports: Sequence[int] | None = None
) -> Iterator[Crowd]:
    """Devices spread over the machines (or on `ports`), everybody connected."""
    devices = seeded(fleet.database_url, fleet.folder, ports or fleet.ports, count, size=size, conversations_each=each)
    if ports is None:
        for number, device in enumerate(devices):
            device.ports = [fleet.ports[number % len(fleet.ports)]]
    people = Crowd(devices)
    try:
        eventually(people.live, lambda live: live == count, within_s=30)
        yield people
    finally:
        people.close()


def talked(people: Crowd, more: int = 100) -> None:
    """Wait until so many more sends were acknowledged."""
    enough = people.acknowledged() + more
    eventually(people.acknowledged, lambda acknowledged: acknowledged >= enough, within_s=40)


def keep_promise(people: Crowd, fleet: Fleet, at_least: int = 200) -> None:
    """Hush, let everybody come back and catch up, then judge."""
    people.talk(0)
    for device in people.devices:
        if len(device.ports) == 1:
            device.ports = fleet.ports
    eventually(
        lambda: [d for d in people.devices if not d.live or d.unacknowledged], lambda left: not left, within_s=40
    )
    stored = stored_seqs(people.devices, fleet.database_url)
    heads = {conv: seqs[-1] for conv, seqs in stored.items()}
    eventually(
        lambda: [d.device for d in people.devices if any(d.cursors.get(c) != heads[c] for c in d.convs)],
        lambda behind: not behind,
        within_s=40,
    )
    verdict = people.history.judge()
    assert verdict.ok, verdict.examples
    assert [hole for device in people.devices for hole in device.holes] == []
    assert verdict.unacknowledged == 0
    assert verdict.acknowledged >= at_least
    assert verdict.applied == verdict.expected > 0
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in stored.values())
    assert people.history.acknowledged_seqs() == messages(people.devices, fleet.database_url)


def stored_seqs(devices: Sequence[Device], url: str) -> dict[int, list[int]]:
    """Every seq of every conversation of these devices."""
    return _seqs(devices, url, "true")


def messages(devices: Sequence[Device], url: str) -> dict[int, list[int]]:
    """The seqs of messages, where there are any."""
    return _seqs(devices, url, f"kind = {Kind.MESSAGE.value}")


def _seqs(devices: Sequence[Device], url: str, where: str) -> dict[int, list[int]]:
    convs = ", ".join(str(conv) for conv in sorted({conv for device in devices for conv in device.convs}))
    query = (
        f"SELECT conversation_id, array_agg(seq ORDER BY seq) FROM messages "
        f"WHERE conversation_id IN ({convs}) AND {where} GROUP BY 1"
    )
    return dict(rows(url, query))  # type: ignore[arg-type]
