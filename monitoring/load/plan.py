"""Who connects and who talks to whom: the seed's tokens file cut into one shard a process. No network here."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from monitoring.errors import MonitoringError

CONNECTIONS_A_PROCESS = 17_000
"""Below the usual limit of 20,000 descriptors, with room for what else is open: 100,000 take six processes."""
IN_FLIGHT = 400
"""Connections that are being opened at a time, all processes together."""


class LoadError(MonitoringError):
    """A mistake in the options or the tokens file, or a machine that cannot carry what was asked."""


class _Line(msgspec.Struct):
    user: int
    device: int
    conversations: list[int]
    token: str


@dataclass(frozen=True, slots=True)
class Person:
    """A seeded user with one device. `conversations` is an array: a fifth of the memory of a tuple."""

    user: int
    device: int
    conversations: array[int]
    token: str


@dataclass(frozen=True, slots=True)
class Target:
    """A node's WebSocket address."""

    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """Conversation -> how many; only what differs from the common number is stored."""

    common: int
    others: Mapping[int, int]

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Sizes:
        """Compact form of a mapping."""
        common = Counter(counts.values()).most_common(1)[0][0] if counts else 0
        return cls(common, {conv: n for conv, n in counts.items() if n != common})

    def __getitem__(self, conv: int) -> int:
        return self.others.get(conv, self.common)


@dataclass(frozen=True, slots=True)
class Shard:
    """What one client process is to do; sent to it when it starts."""

    index: int
    first: int
    """Number of its first connection among all."""
    people: Sequence[Person]
    targets: Sequence[Target]
    connect_rate_per_s: float
    in_flight: int
    body: str
    run: str
    """Beginning of every message id of this run."""
    members: Sizes
    """Conversation -> devices of it that take part in this run."""
    heads: Sizes | None
    """Conversation -> its head after the seed; None: go on from the server's stored cursors."""
    share: float
    """Its part of all sends."""
    sizes: Mapping[int, float]
    """Weight of its sends by number of members; empty: every (device, conversation) alike."""


def read_people(path: Path, connections: int) -> tuple[list[Person], Sizes]:
    """The first `connections` people of a tokens file, and how many members its conversations have.

    Raises LoadError when the file is no tokens file or has too few people.
    """
    people, seats = [], Counter[int]()
    decoder = msgspec.json.Decoder(_Line)
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                line = decoder.decode(text)
                seats.update(line.conversations)
                if not line.conversations:
                    raise LoadError(f"{path}:{number}: this device has no conversation")
                if number <= connections:
                    people.append(Person(line.user, line.device, array("q", line.conversations), line.token))
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise LoadError(f"{path}:{number}: is no line of `app seed`: {error}") from None
    if len(people) < connections:
        raise LoadError(f"{path}: has {len(people)} devices, --connections asks for {connections}; seed more")
    return people, Sizes.of(seats)


def target(url: str) -> Target:
    """`ws://host:port/path` taken apart; raises LoadError."""
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "ws" or not parts.hostname or not port:
        raise LoadError(f"--url {url}: expected for example ws://127.0.0.1:3001/ws")
    return Target(parts.hostname, port, parts.path or "/ws")


def size_shares(text: str) -> dict[int, float]:
    """`2:0.9,50:0.1` as members -> share of the sends, scaled to 1; raises LoadError.

    >>> size_shares("2:9,50:1")
    {2: 0.9, 50: 0.1}
    """
    try:
        weights = {int(size): float(weight) for size, _, weight in (part.partition(":") for part in text.split(","))}
    except ValueError:
        weights = {}
    total = sum(weights.values())
    if not weights or min(weights) < 1 or not all(0 < weight < math.inf for weight in weights.values()):
        raise LoadError(f"--sizes {text}: expected MEMBERS:SHARE,…, for example 2:0.9,50:0.1")
    return {size: weight / total for size, weight in weights.items()}


def members_of(people: Sequence[Person]) -> dict[int, int]:
    """Conversation -> how many of these people are in it."""
    seats = Counter[int]()
    for person in people:
        seats.update(person.conversations)
    return seats


def weights(sizes: Mapping[int, float], seats_of_shards: Sequence[Mapping[int, int]]) -> list[dict[int, float]]:
    """For each shard its part of all sends by number of members; they add up to 1.

    `seats_of_shards` says how many (device, conversation) of each size each shard has; a size's share
    of the sends is spread over the shards as its seats are.

    >>> weights({2: 0.9, 50: 0.1}, [{2: 100}, {2: 50, 50: 100}])
    [{2: 0.6}, {2: 0.3, 50: 0.1}]
    """
    totals = Counter[int]()
    for seats in seats_of_shards:
        totals.update(seats)
    return [
        {size: share * seats[size] / totals[size] for size, share in sizes.items() if seats.get(size)}
        for seats in seats_of_shards
    ]


def process_count(connections: int, asked: int | None, descriptors: int) -> int:
    """Client processes to start; raises LoadError when `asked` cannot hold the connections.

    >>> process_count(100_000, None, 20_000), process_count(200, None, 20_000)
    (6, 1)
    """
    each = min(CONNECTIONS_A_PROCESS, descriptors - 100)
    least = math.ceil(connections / each)
    if asked is not None and math.ceil(connections / asked) > descriptors - 100:
        raise LoadError(f"--processes {asked}: {descriptors} descriptors a process are too few; at least {least}")
    return max(1, asked or least)


def source_address(number: int) -> str:
    """The loopback address from which connection `number` comes.

    Many sources, for two reasons: nginx's ip_hash looks at the first three octets only, so the third
    must vary to reach all nodes; and one source has only some 28,000 ephemeral ports to one target.

    >>> source_address(0), source_address(251)
    ('127.1.0.1', '127.1.251.1')
    """
    return f"127.{1 + number // 256 % 250}.{number % 256}.1"
