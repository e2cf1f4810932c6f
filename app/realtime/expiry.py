"""A session ends with its token, unless the client renews it in time."""

from __future__ import annotations

import time

import gevent

from app.errors import TokenExpired
from app.protocol import wire
from app.realtime.hub import Session


def watch(session: Session, within_s: float) -> None:
    """End `session` when its token does, if that is less than `within_s` seconds away; called again by then."""
    left_s = session.expires_at - time.time()
    if left_s < within_s:
        gevent.spawn_later(max(0.0, left_s), _end, session)


def _end(session: Session) -> None:
    if session.expires_at <= time.time() and session.conn.open:  # it may have been renewed
        expired = TokenExpired()
        session.conn.send(wire.error_frame(expired))
        session.conn.close(4402, expired.code)
