"""What was sent to one device: kept until it says that it has it, in the order in which it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from app.domain.ids import DeviceId, UserId


class Kind(IntEnum):
    """What an item is; stored as this number."""

    TO_DEVICE = 0
    CALL = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a device's inbox.

    `seq` is dense from 1 for each device; `ts` is when the server received it (Unix seconds). `type` is the sender's
    for TO_DEVICE, the verb for CALL; `content` is JSON, opaque in a TO_DEVICE.
    """

    device: DeviceId
    seq: int
    kind: Kind
    sender: UserId
    sender_device: DeviceId
    type: str
    content: str
    ts: float


@dataclass(frozen=True, slots=True)
class Posted:
    """An item was put into a device's inbox."""

    device: DeviceId
    seq: int
