"""The log of conversations: appended in batches, read in pages, polled by every node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.inbox import Posted
from app.domain.links import State
from app.domain.log import Entry, Kind, Membership
from app.domain.people import DeviceEvent, DeviceEventKind
from app.store.db import Connection
from app.store.queries import Queries

_rows = Queries("messages").rows

_DEVICE_EVENTS = frozenset(DeviceEventKind)

Outcome = Literal["new", "known", "conflict", "forbidden"]


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that waits to be committed; `ts` is when the server received it, in Unix seconds."""

    conv: ConversationId
    user: UserId
    device: DeviceId
    client_id: str
    body: str
    ts: float


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of one message of a batch; seq and ts are those of its first commit."""

    outcome: Outcome
    seq: int
    ts: float


def _entry(row: tuple[Any, ...]) -> Entry:
    conv, seq, kind, user, ts, device, client_id, body = row
    return Entry(conv, seq, Kind(kind), user, ts, device, client_id, body)


def commit_sends(conn: Connection, batch: Sequence[NewMessage]) -> list[Committed]:
    """Number and store a batch; one answer for each, in its order."""
    rows = _rows(
        conn,
        "commit_sends",
        convs=[m.conv for m in batch],
        users=[m.user for m in batch],
        devices=[m.device for m in batch],
        client_ids=[m.client_id for m in batch],
        bodies=[m.body for m in batch],
        ts=[m.ts for m in batch],
    )
    return [Committed(outcome, seq or 0, ts or 0.0) for _ord, outcome, seq, ts in rows]


def append_membership(
    conn: Connection, conv: ConversationId, kind: Kind, users: Sequence[UserId], first_seq: int, ts: float
) -> list[Entry]:
    """Write one joined or left row for each user, from `first_seq` on; the caller holds the conversation."""
    _rows(conn, "append_membership", conv=conv, kind=int(kind), users=list(users), first_seq=first_seq, ts=ts)
    return [Entry(conv, first_seq + n, kind, user, ts) for n, user in enumerate(users)]


def position(conn: Connection) -> str:
    """Where the log is now: polls from here on miss nothing that is committed later."""
    start: str = _rows(conn, "position")[0][0]
    return start


@dataclass(frozen=True, slots=True)
class ListChange:
    """The devices or keys of a person changed at `ts` (Unix seconds), who is in `convs`."""

    ts: float
    convs: list[ConversationId]


@dataclass(frozen=True, slots=True)
class LinkNews:
    """A link of `device` is in a new state; `details` is JSON: name, type, key, nonce, comparison of the new device."""

    id: int
    device: DeviceId
    state: State
    new_device: DeviceId | None
    details: str
    ts: float


@dataclass(slots=True)
class News:
    """What was committed at or past a position, and the position to go on from.

    `fresh`: (conversation, lowest and highest fresh seq). `joined`: (conversation, seq, user). `reads`:
    (conversation, user, seq, when the server received it in Unix seconds). `epoch` names the database. `inboxes`: the
    last item of a device. `lists`, by person and commit: whose devices
    or keys changed. `links`: of which the state changed.
    """

    position: str = ""
    epoch: str = ""
    fresh: list[tuple[ConversationId, int, int]] = field(default_factory=list)
    joined: list[tuple[ConversationId, int, UserId]] = field(default_factory=list)
    reads: list[tuple[ConversationId, UserId, int, float]] = field(default_factory=list)
    devices: list[DeviceEvent] = field(default_factory=list)
    inboxes: list[Posted] = field(default_factory=list)
    lists: dict[tuple[UserId, str], ListChange] = field(default_factory=dict)
    links: list[LinkNews] = field(default_factory=list)


def poll(conn: Connection, start: str) -> News:
    """What is visible at or past `start`."""
    news = News()
    for what, key, number, user, kind, ts, text, more in _rows(conn, "poll", position=start):
        if what == "fresh":
            news.fresh.append((key, user, number))
        elif what == "joined":
            news.joined.append((key, number, user))
        elif what == "read":
            news.reads.append((key, user, number, ts))
        elif what == "device":
            if kind in _DEVICE_EVENTS:  # a later version may write others while this one still runs
                news.devices.append(DeviceEvent(number, key, user, DeviceEventKind(kind), ts))
        elif what == "inbox":
            news.inboxes.append(Posted(key, number))
        elif what == "list":
            change = news.lists.setdefault((user, text), ListChange(ts, []))
            if key is not None:
                change.convs.append(key)
        elif what == "link":
            news.links.append(LinkNews(key, user, text, number, more, ts))
        else:
            news.position, news.epoch = text, more
    return news


def memberships(conn: Connection, user: UserId, device: DeviceId) -> list[Membership]:
    """What the device may see, and how far it has come."""
    return [Membership(*row) for row in _rows(conn, "memberships", user=user, device=device)]


@dataclass(frozen=True, slots=True)
class Want:
    """A wish for the rows after `after`, up to `upto` (None: all)."""

    conv: ConversationId
    after: int
    upto: int | None


def pages(conn: Connection, wants: Sequence[Want], limit: int) -> list[Entry]:
    """At most `limit` entries for each wish, ordered by conversation and seq."""
    rows = _rows(
        conn,
        "pages",
        convs=[w.conv for w in wants],
        after=[w.after for w in wants],
        upto=[w.upto for w in wants],
        limit=limit,
    )
    return [_entry(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Stored:
    """A device has stored everything through `seq`; `sent`: this node knows that it sent it that row; `probe`: it is a
    probe's.
    """

    device: DeviceId
    user: UserId
    conv: ConversationId
    seq: int
    sent: bool
    probe: bool = False


def advance_cursors(
    conn: Connection, told: Sequence[Stored], epoch: str, group_limit: int
) -> list[tuple[ConversationId, UserId, int]]:
    """Move device cursors forward, no (device, conversation) twice; returns the receipts worth telling
    (conversation, user, seq). Where another database than `epoch` answers, nothing moves.
    """
    rows = _rows(
        conn,
        "advance_cursors",
        devices=[s.device for s in told],
        users=[s.user for s in told],
        convs=[s.conv for s in told],
        seqs=[s.seq for s in told],
        sent=[s.sent for s in told],
        epoch=epoch,
        group_limit=group_limit,
    )
    return [(ConversationId(conv), UserId(user), seq) for conv, user, seq in rows]


def advance_read(
    conn: Connection, told: Sequence[tuple[UserId, ConversationId, int, float]]
) -> list[tuple[UserId, ConversationId, int]]:
    """Move read markers (user, conversation, seq, received at) forward; returns those that moved."""
    users, convs, seqs, ts = zip(*told, strict=True)
    rows = _rows(conn, "advance_read", users=list(users), convs=list(convs), seqs=list(seqs), ts=list(ts))
    return [(UserId(user), ConversationId(conv), seq) for user, conv, seq in rows]
