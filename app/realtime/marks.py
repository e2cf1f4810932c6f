"""Read markers come to a node from its own devices, from the bus and from the log; each goes to sockets once."""

from __future__ import annotations

from collections import OrderedDict

from app.domain.ids import ConversationId, UserId

MAX_TOLD = 50_000
"""Beyond it the markers that moved longest ago are forgotten; at worst one of them is told twice."""


class ToldMarks:
    """The highest marker passed on here, by person and conversation."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[UserId, ConversationId], int] = OrderedDict()

    def is_news(self, user: UserId, conv: ConversationId, seq: int) -> bool:
        """Whether this marker was not passed on yet; from now on it was."""
        key = (user, conv)
        if seq <= self._told.get(key, 0):
            return False
        self._told[key] = seq
        self._told.move_to_end(key)
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return True
