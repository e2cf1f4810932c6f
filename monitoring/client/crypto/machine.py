"""Everything one device needs to read and be read: its identity, its sessions with devices, keys of conversations.

Without input and output: methods return bodies of requests and take the answers. Times are Unix seconds, given by the
caller. Nothing malformed that arrives raises anything but CryptoError.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from vodozemac import Account, AnyOlmMessage, Curve25519PublicKey, GroupSession, Session

from monitoring.client.crypto.directory import Directory, Peer
from monitoring.client.crypto.groups import CryptoError, Groups, Incoming, MissingKey, Outgoing, UnknownDevice
from monitoring.client.crypto.names import MEGOLM, OLM, ONE_TIME, Json, is_signed, room_name, sign, user_name

ENCRYPTED = "m.room.encrypted"
ROOM_KEY = "m.room_key"
HISTORY = "messenger.history"
DUMMY = "m.dummy"
KEEP_ONE_TIME_KEYS = 50
MEND_EVERY_S = 3_600.0
HISTORY_ROWS = 60
"""Sessions in one item of history: below the 64 KiB that an item may have."""
MAX_SESSIONS = 8
"""Olm sessions that are kept for one device; the one used last is the one that is sent with."""

__all__ = ["CryptoError", "Machine", "MissingKey", "UnknownDevice"]


class Machine:
    """The encryption of one device. Its driver calls from one thread at a time, and keeps `dump` after a change."""

    def __init__(self, user: int, device: int) -> None:
        self.user = user
        self.device = device
        self.directory = Directory()
        self._account = Account()
        self._sessions: dict[str, list[Session]] = {}  # by the other device's curve25519, the last used first
        self._groups = Groups()
        self._counts: Mapping[str, int] = {}
        self._unused_fallback: Collection[str] = ()
        self._identity_uploaded = False
        self._generated = False
        # Devices (by curve25519) whose session does not work, those that just got another, and when one may again.
        self._broken: set[str] = set()
        self._replaced: set[str] = set()
        self._not_before: dict[str, float] = {}

    @property
    def ed25519(self) -> str:
        """This device's public signing key, which names it to others."""
        return self._account.ed25519_key.to_base64()

    @property
    def curve25519(self) -> str:
        """This device's public key for sessions."""
        return self._account.curve25519_key.to_base64()

    # --- what this device publishes -------------------------------------------------------------------

    def counted(self, one_time: Mapping[str, int], unused_fallback: Collection[str]) -> None:
        """What the server still has of this device."""
        self._counts, self._unused_fallback = one_time, unused_fallback

    def to_upload(self) -> Json | None:
        """The body of a keys upload; None when nothing lacks. The same until `uploaded` is called."""
        body: Json = {}
        if not self._identity_uploaded:
            body["device_keys"] = self._signed_identity()
        lacking = KEEP_ONE_TIME_KEYS - self._counts.get(ONE_TIME, 0)
        fallback_lacks = ONE_TIME not in self._unused_fallback
        if (lacking > 0 or fallback_lacks) and not self._generated:
            self._generated = True
            self._account.generate_one_time_keys(max(0, lacking))
            if fallback_lacks:
                self._account.generate_fallback_key()  # type: ignore[attr-defined]
        if one_time := self._account.one_time_keys:
            body["one_time_keys"] = {f"{ONE_TIME}:{name}": self._signed_key(key) for name, key in one_time.items()}
        if fallback := self._account.fallback_key:  # type: ignore[attr-defined]
            body["fallback_keys"] = {
                f"{ONE_TIME}:{name}": self._signed_key(key, fallback=True) for name, key in fallback.items()
            }
        return body or None

    def uploaded(self, counts: Mapping[str, int]) -> None:
        """The server has taken the last upload, and has so many one-time keys now."""
        self._account.mark_keys_as_published()
        self._identity_uploaded, self._generated = True, False
        self.counted(counts, [ONE_TIME])

    def _signed_identity(self) -> Json:
        keys = {f"curve25519:{self.device}": self.curve25519, f"ed25519:{self.device}": self.ed25519}
        identity = {"user_id": user_name(self.user), "device_id": str(self.device), "algorithms": [OLM, MEGOLM]}
        return sign(identity | {"keys": keys}, self._account, self.user, self.device)

    def _signed_key(self, key: Curve25519PublicKey, *, fallback: bool = False) -> Json:
        value: Json = {"key": key.to_base64()} | ({"fallback": True} if fallback else {})
        return sign(value, self._account, self.user, self.device)

    # --- sessions with devices -----------------------------------------------------------------------

    def to_claim(self, users: Iterable[int]) -> Json | None:
        """The body of a claim for devices of `users` without a session, or with a broken one; None when none lacks."""
        lacking: dict[str, dict[str, str]] = {}
        for peer in self._others(users):
            if peer.curve25519 not in self._sessions or peer.curve25519 in self._broken:
                lacking.setdefault(user_name(peer.user), {})[str(peer.device)] = ONE_TIME
        return {"one_time_keys": lacking} if lacking else None

    def claimed(self, users: Iterable[int], answer: Json, now: float) -> None:
        """The keys that were claimed: a session with each device whose key it signed itself."""
        for peer in self._others(users):
            keys = answer.get("one_time_keys", {}).get(user_name(peer.user), {}).get(str(peer.device), {})
            for key in keys.values():
                if not is_signed(key, peer.user, peer.device, peer.ed25519):
                    self.directory.suspicious.add((peer.user, peer.device))
                    continue
                session = self._account.create_outbound_session(
                    Curve25519PublicKey.from_base64(peer.curve25519), Curve25519PublicKey.from_base64(key["key"])
                )
                self._keep(peer.curve25519, session)
                if peer.curve25519 in self._broken:
                    self._broken.discard(peer.curve25519)
                    self._replaced.add(peer.curve25519)
                    self._not_before[peer.curve25519] = now + MEND_EVERY_S

    def _others(self, users: Iterable[int]) -> list[Peer]:
        return [peer for peer in self.directory.live(users) if (peer.user, peer.device) != (self.user, self.device)]

    def _keep(self, curve25519: str, session: Session) -> None:
        self._sessions[curve25519] = [session, *self._sessions.get(curve25519, [])][:MAX_SESSIONS]

    def _to_peer(self, peer: Peer, type_: str, content: Json) -> Json:
        payload = {
            "type": type_,
            "content": content,
            "sender": user_name(self.user),
            "sender_device": str(self.device),
            "keys": {"ed25519": self.ed25519},
            "recipient": user_name(peer.user),
            "recipient_keys": {"ed25519": peer.ed25519},
        }
        kind, ciphertext = self._sessions[peer.curve25519][0].encrypt(json.dumps(payload).encode()).to_parts()
        body = base64.b64encode(ciphertext).decode().rstrip("=")
        return {
            "algorithm": OLM,
            "sender_key": self.curve25519,
            "ciphertext": {peer.curve25519: {"type": kind, "body": body}},
        }

    def receive(self, sender: int, device: int, type_: str, content: Json, now: float) -> str | None:
        """Something another device sent to this one. The type of what was in it; None when it is nothing of ours.

        Raises CryptoError. What was taken before raises it again and changes nothing.
        """
        if type_ != ENCRYPTED:
            return None
        try:
            sender_key, message = content["sender_key"], content["ciphertext"][self.curve25519]
            text = message["body"]
            olm = AnyOlmMessage.from_parts(message["type"], base64.b64decode(text + "=" * (-len(text) % 4)))
            payload = json.loads(self._decrypt_olm(sender_key, olm, now))
            inner, inner_type = payload["content"], payload["type"]
            self._require_meant_for_us(sender, device, sender_key, payload)
        except CryptoError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CryptoError(f"an item of device {device} is malformed: {type(error).__name__}") from None
        self._take(sender, sender_key, payload["keys"]["ed25519"], inner_type, inner)
        return str(inner_type)

    def _decrypt_olm(self, sender_key: str, message: AnyOlmMessage, now: float) -> bytes:
        for session in self._sessions.get(sender_key, []):
            try:
                plaintext = session.decrypt(message)
            except ValueError:
                continue
            self._sessions[sender_key].remove(session)
            self._keep(sender_key, session)
            return bytes(plaintext)
        try:
            session, plaintext = self._begin(sender_key, message)
        except (CryptoError, ValueError) as error:
            # Its side or ours is broken: the next claim makes a new session, once an hour.
            if now >= self._not_before.get(sender_key, 0.0):
                self._broken.add(sender_key)
            raise CryptoError(f"an item of {sender_key[:8]}… cannot be decrypted: {error}") from None
        self._keep(sender_key, session)
        return bytes(plaintext)

    def _begin(self, sender_key: str, message: AnyOlmMessage) -> tuple[Session, bytes]:
        pre_key = message.to_pre_key()
        if pre_key is None or any(s.session_matches(pre_key) for s in self._sessions.get(sender_key, [])):
            raise CryptoError("no session reads it")
        return self._account.create_inbound_session(Curve25519PublicKey.from_base64(sender_key), pre_key)

    def _require_meant_for_us(self, sender: int, device: int, sender_key: str, payload: Json) -> None:
        """What the Olm payload says of itself must be what the server said, and what the sender's identity is."""
        peer = self.directory.find(sender, device)
        if (payload["recipient"], payload["recipient_keys"]["ed25519"]) != (user_name(self.user), self.ed25519):
            raise CryptoError("an item was meant for another device")
        if payload["sender"] != user_name(sender):
            raise CryptoError("an item says it is of somebody else")
        if peer is not None and (peer.curve25519, peer.ed25519) != (sender_key, payload["keys"]["ed25519"]):
            raise CryptoError("an item was not encrypted by the device that sent it")

    def _take(self, sender: int, sender_key: str, ed25519: str, type_: str, content: Json) -> None:
        try:
            if type_ == ROOM_KEY:
                conv = int(content["room_id"].removeprefix("!").partition(":")[0])
                self._groups.add(conv, content["session_key"], sender, sender_key, ed25519)
            elif type_ == HISTORY and sender == self.user:  # only devices of one's own tell what others said
                self._groups.import_all(content["sessions"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CryptoError(f"a {type_} is malformed: {type(error).__name__}") from None

    # --- conversations -------------------------------------------------------------------------------

    def to_share(self, conv: int, members: Iterable[int], now: float) -> dict[str, dict[str, Json]]:
        """The key of a conversation for every device of `members` that lacks it: the messages of a to-device request.

        Makes another key first where somebody has the present one who must not read on.
        """
        peers = [peer for peer in self._others(members) if peer.curve25519 in self._sessions]
        allowed = {(peer.user, peer.device) for peer in self._others(members)}
        group = self._groups.outgoing.get(conv)
        if group is None or group.is_spent(allowed, now):
            group = self._groups.outgoing[conv] = Outgoing(GroupSession(), now)
            key = group.session.session_key.to_base64()
            self._groups.add(conv, key, self.user, self.curve25519, self.ed25519)
        content = {
            "algorithm": MEGOLM,
            "room_id": room_name(conv),
            "session_id": group.session.session_id,
            "session_key": group.session.session_key.to_base64(),
        }
        messages: dict[str, dict[str, Json]] = {}
        for peer in peers:
            if (peer.user, peer.device) not in group.holders:
                group.holders.add((peer.user, peer.device))
                of_user = messages.setdefault(user_name(peer.user), {})
                of_user[str(peer.device)] = self._to_peer(peer, ROOM_KEY, content)
        return messages

    def encrypt(self, conv: int, content: Json) -> str:
        """The body of a message, for those to whom the key was shared; call `to_share` before.

        `content` is that of an `m.room.message`: at least a `msgtype` and a `body` in words.
        """
        payload = {"type": "m.room.message", "content": content, "room_id": room_name(conv)}
        session = self._groups.outgoing[conv].session
        encrypted = {
            "algorithm": MEGOLM,
            "ciphertext": session.encrypt(json.dumps(payload).encode()).to_base64(),
            "session_id": session.session_id,
        }
        return json.dumps(encrypted)

    def decrypt(self, conv: int, sender: int, device: int, message_id: str, body: str) -> Json:
        """What a message says: its content, with a `body` in words.

        Raises MissingKey when its key has not come, UnknownDevice when the sender's devices must be asked for first,
        CryptoError when it cannot be believed.
        """
        try:
            content = json.loads(body)
            incoming = self._groups.find(conv, content["session_id"])
            self._require_of(incoming, sender, device)
            payload = json.loads(self._groups.decrypt(incoming, content["ciphertext"], f"{device}:{message_id}"))
            room, said = payload["room_id"], dict(payload["content"])
            said["body"] = str(said["body"])
        except CryptoError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CryptoError(f"a message is malformed: {type(error).__name__}") from None
        if room != room_name(conv):
            raise CryptoError("a message was written for another conversation")
        return said

    def _require_of(self, incoming: Incoming, sender: int, device: int) -> None:
        """The session of a message must be one of the device that sent it."""
        if incoming.sender != sender:
            raise CryptoError("a message was not encrypted by the person who sent it")
        peer = self.directory.find(sender, device)
        if peer is None and (sender, device) == (self.user, self.device):
            return
        if peer is None and not incoming.vouched:
            raise UnknownDevice(f"device {device} of {user_name(sender)} is not known")
        if peer is not None and (peer.curve25519, peer.ed25519) != (incoming.curve25519, incoming.ed25519):
            raise CryptoError("a message was not encrypted by the device that sent it")

    def history_for(self, device: int) -> list[dict[str, dict[str, Json]]]:
        """All keys of conversations for another device of this person, as messages of to-device requests.

        Empty when there is no session with it. Only for a device whose identity the person has compared.
        """
        peer = self.directory.find(self.user, device)
        if peer is None or peer.revoked or peer.curve25519 not in self._sessions:
            return []
        rows = list(self._groups.export())
        chunks = [rows[start : start + HISTORY_ROWS] for start in range(0, len(rows), HISTORY_ROWS)]
        return [
            {user_name(self.user): {str(device): self._to_peer(peer, HISTORY, {"sessions": chunk})}} for chunk in chunks
        ]

    def mended(self, users: Iterable[int]) -> dict[str, dict[str, Json]]:
        """For devices whose broken session was just replaced: something empty, so that they use the new one, too.

        What they may have missed is shared with them again.
        """
        messages: dict[str, dict[str, Json]] = {}
        for peer in self._others(users):
            if peer.curve25519 in self._replaced:
                self._replaced.discard(peer.curve25519)
                of_user = messages.setdefault(user_name(peer.user), {})
                of_user[str(peer.device)] = self._to_peer(peer, DUMMY, {})
                for group in self._groups.outgoing.values():
                    group.holders.discard((peer.user, peer.device))
        return messages

    # --- keeping it ----------------------------------------------------------------------------------

    def dump(self) -> Json:
        """Everything, to be kept where only this device reads: sessions are encrypted, with the key beside them."""
        key = os.urandom(32)
        return {
            "user": self.user,
            "device": self.device,
            "key": base64.b64encode(key).decode(),
            "account": self._account.pickle(key),
            "identity_uploaded": self._identity_uploaded,
            "generated": self._generated,
            # Else each start would upload as many keys again, until the server takes no more.
            "counts": dict(self._counts),
            "unused_fallback": list(self._unused_fallback),
            "sessions": {curve: [s.pickle(key) for s in sessions] for curve, sessions in self._sessions.items()},
            "groups": self._groups.dump(key),
            "directory": self.directory.dump(),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Machine:
        """What `dump` gave. Raises CryptoError when it is not that."""
        try:
            machine = cls(state["user"], state["device"])
            key = base64.b64decode(state["key"])
            machine._account = Account.from_pickle(state["account"], key)
            machine._identity_uploaded, machine._generated = state["identity_uploaded"], state["generated"]
            machine.counted(state.get("counts", {}), state.get("unused_fallback", []))
            sessions: Mapping[str, Sequence[str]] = state["sessions"]
            machine._sessions = {c: [Session.from_pickle(p, key) for p in pickles] for c, pickles in sessions.items()}
            machine._groups.load(state["groups"], key)
            machine.directory.load(state["directory"])
        except (KeyError, TypeError, ValueError) as error:
            raise CryptoError(f"the kept state cannot be read: {type(error).__name__}") from None
        return machine
