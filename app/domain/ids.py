"""Ids as types, so that a user's id cannot be handed in for a device's.

All are positive integers below 2**53, which JavaScript represents exactly.
"""

from __future__ import annotations

from typing import NewType

UserId = NewType("UserId", int)
DeviceId = NewType("DeviceId", int)
ConversationId = NewType("ConversationId", int)
