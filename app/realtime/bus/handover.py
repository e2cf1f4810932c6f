"""Where frames leave this node's world for the bus, and enter it again on another node."""

from __future__ import annotations

from app.domain.ids import ConversationId, DeviceId, UserId
from app.domain.inbox import Posted
from app.domain.log import Kind
from app.realtime.bus.wire import Audience, BusFrame, Wanted
from app.realtime.hub import Hub, Sequenced


def row(event: Sequenced, *, probe: bool = False) -> BusFrame:
    """A row of the log as the bus carries it; `probe`: of a conversation of probes.

    Somebody who joins does so on nodes, too, where nobody listened to that conversation so far: that row is for all.
    """
    audience = Audience.EVERYBODY if event.kind is Kind.JOINED else Audience.CONVERSATION
    return BusFrame("message", audience, event.conv, event.seq, event.kind, event.user, event.ts, event.frame, 0, probe)


def wanted_by(hub: Hub) -> Wanted:
    """Whether this node's hub would hand such a frame to anybody."""

    def wanted(audience: int, key: int) -> bool:
        if audience == Audience.CONVERSATION:
            return hub.wanted(ConversationId(key))
        if audience == Audience.DEVICE:
            return hub.session(DeviceId(key)) is not None
        return audience == Audience.EVERYBODY

    return wanted


def hand_on(hub: Hub, frames: list[BusFrame]) -> None:
    """Give what another node published to this node's sockets."""
    with hub.turn():
        for frame in frames:
            if frame.audience == Audience.DEVICE:
                hub.ring(Posted(DeviceId(frame.key), frame.mark))
            else:
                _hand_on(hub, frame)


def _hand_on(hub: Hub, frame: BusFrame) -> None:
    conv, user = ConversationId(frame.key), UserId(frame.user)
    if frame.seq:
        hub.deliver(Sequenced(conv, frame.seq, frame.kind, user, frame.ts, frame.frame))
    elif frame.mark:
        hub.read_mark(conv, user, frame.mark, frame.frame, frame.ts)
    elif frame.audience == Audience.EVERYBODY:
        hub.to_all(frame.path, frame.frame, frame.ts)
    else:
        hub.to_conversation(frame.path, conv, frame.frame, frame.ts, but=user or None)
