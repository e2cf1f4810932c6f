"""The log of a conversation: what was committed, in the order everybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from app.domain.ids import ConversationId, DeviceId, UserId


class Kind(IntEnum):
    """What a log entry is; stored as this number."""

    MESSAGE = 0
    JOINED = 1
    LEFT = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed row of a conversation's log.

    `seq` is dense from 1 within the conversation; `ts` is when the server received it
    (Unix seconds). A MESSAGE has a client id, a device and an opaque body; JOINED and
    LEFT name the member in `user`.
    """

    conv: ConversationId
    seq: int
    kind: Kind
    user: UserId
    ts: float
    device: DeviceId | None = None
    client_id: str | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """What one device needs to know of one of its conversations when it connects.

    The member sees seq from_seq to to_seq (None: still a member); `cursor` is the
    highest seq this device acknowledged, from_seq − 1 when none; `head` the log's last seq.
    """

    conv: ConversationId
    from_seq: int
    to_seq: int | None
    cursor: int
    head: int
