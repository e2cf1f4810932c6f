"""Keys of conversations: one outgoing Megolm session of this device each, and those it can read.

An outgoing session is replaced when somebody who has it must not read on (they left, or a device was revoked), after
100 messages, or after a week. Who comes gets it at its present index and reads from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vodozemac import ExportedSessionKey, GroupSession, InboundGroupSession, MegolmMessage, SessionKey

from monitoring.client.crypto.names import Json

MAX_MESSAGES = 100
MAX_AGE_S = 7 * 86_400

Holder = tuple[int, int]
"""(user, device) that has a session's key."""


class CryptoError(Exception):
    """What was received cannot be read, or not be believed; the reason is in the text."""


class MissingKey(CryptoError):
    """The key of this message has not come (yet)."""


class UnknownDevice(CryptoError):
    """The device that sent this must be asked for first."""


@dataclass(slots=True)
class Outgoing:
    """The session this device encrypts with in one conversation."""

    session: GroupSession
    created_at: float
    holders: set[Holder] = field(default_factory=set)

    def is_spent(self, allowed: set[Holder], now: float) -> bool:
        """Whether it must be replaced before something is said to `allowed`."""
        worn = self.session.message_index >= MAX_MESSAGES or now - self.created_at > MAX_AGE_S
        return worn or bool(self.holders - allowed)


@dataclass(slots=True)
class Incoming:
    """A session of some device that this one can read, and whose it is; `seen` maps an index to what came with it.

    `vouched`: another device of this person handed it on, and the device it is of may be gone.
    """

    session: InboundGroupSession
    sender: int
    curve25519: str
    ed25519: str
    seen: dict[int, str] = field(default_factory=dict)
    vouched: bool = False


class Groups:
    """All sessions of this device."""

    def __init__(self) -> None:
        self.outgoing: dict[int, Outgoing] = {}
        self._incoming: dict[tuple[int, str], Incoming] = {}

    def add(self, conv: int, key: str, sender: int, curve25519: str, ed25519: str, *, exported: bool = False) -> None:
        """A key came. Of two for one session the one that reads further back stays. Raises CryptoError."""
        try:
            session = (
                InboundGroupSession.import_session(ExportedSessionKey(key))
                if exported
                else InboundGroupSession(SessionKey(key))
            )
        except ValueError as error:
            raise CryptoError(f"a key of conversation {conv} cannot be read: {error}") from None
        place = (conv, session.session_id)
        known = self._incoming.get(place)
        if known is None or session.first_known_index < known.session.first_known_index:
            seen = known.seen if known is not None else {}
            self._incoming[place] = Incoming(session, sender, curve25519, ed25519, seen, exported)

    def find(self, conv: int, session_id: str) -> Incoming:
        """The session with this id. Raises MissingKey."""
        found = self._incoming.get((conv, session_id))
        if found is None:
            raise MissingKey(f"no key of conversation {conv} for this message")
        return found

    def decrypt(self, incoming: Incoming, ciphertext: str, message: str) -> bytes:
        """What a message says; `message` names it, so that the same words cannot come twice as two messages.

        Raises CryptoError.
        """
        try:
            decrypted = incoming.session.decrypt(MegolmMessage.from_base64(ciphertext))
        except ValueError as error:
            raise CryptoError(f"a message cannot be decrypted: {error}") from None
        if incoming.seen.setdefault(decrypted.message_index, message) != message:
            raise CryptoError("a message was repeated under another name")
        return bytes(decrypted.plaintext)

    def export(self) -> Iterator[Json]:
        """Every session this device can read, from where it can."""
        for (conv, _), one in self._incoming.items():
            key = one.session.export_at(one.session.first_known_index)
            if key is not None:
                yield {
                    "conv": conv,
                    "key": key.to_base64(),
                    "sender": one.sender,
                    "curve25519": one.curve25519,
                    "ed25519": one.ed25519,
                }

    def import_all(self, rows: Iterable[Json]) -> None:
        """What `export` of another device gave. Raises CryptoError."""
        for row in rows:
            self.add(row["conv"], row["key"], row["sender"], row["curve25519"], row["ed25519"], exported=True)

    def dump(self, key: bytes) -> Json:
        """Everything, encrypted with `key`."""
        outgoing = {
            str(conv): [o.session.pickle(key), o.created_at, sorted(o.holders)] for conv, o in self.outgoing.items()
        }
        incoming = [
            [
                conv,
                one.session.pickle(key),
                one.sender,
                one.curve25519,
                one.ed25519,
                list(one.seen.items()),
                one.vouched,
            ]
            for (conv, _), one in self._incoming.items()
        ]
        return {"outgoing": outgoing, "incoming": incoming}

    def load(self, state: Json, key: bytes) -> None:
        """What `dump` gave."""
        for conv, (pickle, created_at, holders) in state["outgoing"].items():
            held = {(user, device) for user, device in holders}
            self.outgoing[int(conv)] = Outgoing(GroupSession.from_pickle(pickle, key), created_at, held)
        for conv, pickle, sender, curve25519, ed25519, seen, vouched in state["incoming"]:
            session = InboundGroupSession.from_pickle(pickle, key)
            self._incoming[conv, session.session_id] = Incoming(
                session, sender, curve25519, ed25519, dict(seen), vouched
            )
