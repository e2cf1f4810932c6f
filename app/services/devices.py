"""Devices of a person: signing one of them out for good."""

from __future__ import annotations

from app.domain.ids import DeviceId
from app.domain.people import Identity
from app.errors import NotFound
from app.store import accounts, devices
from app.store.db import Database


class Devices:
    """What a person may do with their devices."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def revoke(self, caller: Identity, device: DeviceId) -> None:
        """End a device of the caller: its tokens, and through the log its connections on every node.

        Raises NotFound when it is nobody's, somebody else's, or revoked already.
        """
        with self._db.transaction() as conn:
            if not devices.revoke(conn, device, caller.user):
                raise NotFound("there is no such device, or it is not yours")
            accounts.end_families_of_device(conn, device)

    def forget_events(self) -> None:
        """Housekeeping: drop device events that every node has read long ago."""
        with self._db.statement() as conn:
            devices.forget_events(conn)
