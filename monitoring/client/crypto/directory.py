"""Whose devices there are, as far as their own signatures prove it.

A device's identity never changes under one id: another one is refused and remembered as suspicious. A device that was
revoked stays known, so that what it said before can still be attributed, but nothing is sent to it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from monitoring.client.crypto.names import Json, is_signed, user_name, user_of


@dataclass(slots=True)
class Peer:
    """One device of somebody; keys in unpadded base64."""

    user: int
    device: int
    ed25519: str
    curve25519: str
    revoked: bool = False


class Directory:
    """What this device knows of others, and of whom it must ask again."""

    def __init__(self) -> None:
        self._peers: dict[int, dict[int, Peer]] = {}
        self._current: set[int] = set()
        self.suspicious: set[tuple[int, int]] = set()
        """Devices whose keys were not signed by themselves, or changed."""

    def stale(self, users: Iterable[int]) -> list[int]:
        """Those of `users` who must be asked for before anything is sent to them."""
        return sorted(set(users) - self._current)

    def outdate(self, users: Iterable[int]) -> None:
        """The devices of these people may have changed."""
        self._current -= set(users)

    def outdate_all(self) -> None:
        """It is not known whose devices changed."""
        self._current.clear()

    def learn(self, asked: Iterable[int], answer: Json) -> None:
        """What the server answered to a query for the devices of `asked`; who is not in it has none."""
        for user in asked:
            devices = answer.get("device_keys", {}).get(user_name(user), {})
            known = self._peers.setdefault(user, {})
            found = {peer.device: peer for peer in map(_peer, devices.values()) if peer and peer.user == user}
            for device, peer in known.items():
                peer.revoked = device not in found
            for device, peer in found.items():
                before = known.setdefault(device, peer)
                if (before.ed25519, before.curve25519) != (peer.ed25519, peer.curve25519):
                    self.suspicious.add((user, device))
                    before.revoked = True
            self.suspicious |= {(user, int(name)) for name in devices if name.isdecimal() and int(name) not in found}
            self._current.add(user)

    def live(self, users: Iterable[int]) -> list[Peer]:
        """The devices of `users` that things may be sent to."""
        return [peer for user in users for peer in self._peers.get(user, {}).values() if not peer.revoked]

    def find(self, user: int, device: int) -> Peer | None:
        """A device, also one that was revoked."""
        return self._peers.get(user, {}).get(device)

    def dump(self) -> list[Json]:
        """Everything, to be kept."""
        return [asdict(peer) for of_user in self._peers.values() for peer in of_user.values()]

    def load(self, rows: Iterable[Json]) -> None:
        """What `dump` gave; all of it must be asked for again."""
        for row in rows:
            peer = Peer(**row)
            self._peers.setdefault(peer.user, {})[peer.device] = peer


def _peer(keys: Json) -> Peer | None:
    """The device that these signed keys are of; None when the signature or the form is wrong."""
    try:
        user, device = user_of(keys["user_id"]), int(keys["device_id"])
        ed25519, curve25519 = keys["keys"][f"ed25519:{device}"], keys["keys"][f"curve25519:{device}"]
    except (KeyError, TypeError, ValueError):
        return None
    if user is None or not is_signed(keys, user, device, ed25519):
        return None
    return Peer(user, device, ed25519, curve25519)
