"""Who is speaking: a signed-in device of a person, and what can become of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from app.domain.ids import DeviceId, UserId

DeviceType = Literal["WEB", "MOBILE", "DESKTOP"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A device whose token was checked; `expires_at` in Unix seconds.

    `probe` is known once the database was asked: a token does not say it.
    """

    user: UserId
    device: DeviceId
    expires_at: float
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a device is; `probe`: of the monitoring, and none of the users."""

    user: UserId
    probe: bool


class DeviceEventKind(IntEnum):
    """What every node must learn of a device; stored as this number."""

    CONNECTED = 0
    REVOKED = 1
    LINKED = 2
    CHANGED = 3
    KEYS = 4
    """Some of its one-time keys were handed out."""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One row of the log of devices. `id` is the fencing number of a connection; `ts` in Unix seconds."""

    id: int
    device: DeviceId
    user: UserId
    kind: DeviceEventKind
    ts: float
