"""Who is speaking: a signed-in device of a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.domain.ids import DeviceId, UserId

DeviceType = Literal["WEB", "MOBILE", "DESKTOP"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A device whose token was checked; `expires_at` in Unix seconds."""

    user: UserId
    device: DeviceId
    expires_at: float
