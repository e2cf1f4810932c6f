"""Keys of devices: uploaded by their owner, asked for and handed out to those who share a conversation.

Everything here is public; what is secret never leaves a device. The server checks signatures nevertheless, so that a
broken client is told at once and not when nobody can write to it. Shapes follow the Matrix client-server API, module
"End-to-End Encryption".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from gevent import get_hub

from app.domain.ids import DeviceId, UserId
from app.domain.matrix import device_name, device_of, user_name, user_of
from app.domain.people import DeviceEventKind, Identity
from app.errors import Conflict, DeviceRevoked, InvalidRequest
from app.metrics import Metrics
from app.services.signatures import decode_key, is_signed
from app.services.throttle import Throttle
from app.store import devices, keys
from app.store.db import Connection, Database
from app.store.keys import Counts, Key

ONE_TIME_ALGORITHM = "signed_curve25519"
MAX_ONE_TIME_KEYS = 200
"""What one device may have waiting."""
MAX_UPLOADED = 100
MAX_IDENTITY_CHARS = 8_192
MAX_TARGETS = 500
"""Users of one query, devices of one claim."""
CLAIMS_OF_A_TARGET = "20/hour"
CLAIMS_OF_A_CLAIMER = "2000/hour"
_KEY_NAME = re.compile(rf"{ONE_TIME_ALGORITHM}:([A-Za-z0-9+/=_-]{{1,64}})")

Json = dict[str, Any]


class Keys:
    """Uploading, asking for and handing out keys."""

    def __init__(self, db: Database, metrics: Metrics) -> None:
        self._db = db
        self._of_target = Throttle(CLAIMS_OF_A_TARGET, "too many keys of one device were asked for; wait an hour")
        self._of_claimer = Throttle(CLAIMS_OF_A_CLAIMER, "too many keys were asked for; wait an hour")
        self._claimed = {
            kind: metrics.counter("messenger_keys_claimed_total", kind) for kind in ("one_time", "fallback", "none")
        }

    def upload(
        self, caller: Identity, identity: Json | None, one_time: Mapping[str, Json], fallback: Mapping[str, Json]
    ) -> dict[str, int]:
        """Store what a device makes public; its one-time keys by algorithm. Repeating an upload changes nothing.

        Raises InvalidRequest naming the field, Conflict where something else is known under the same name.
        """
        if len(one_time) > MAX_UPLOADED or len(fallback) > MAX_UPLOADED:
            raise _bad("one_time_keys", f"at most {MAX_UPLOADED} keys at a time")
        with self._db.transaction() as conn:
            if not keys.hold_device(conn, caller.user, caller.device):
                raise DeviceRevoked
            known = keys.identity(conn, caller.device)
            signer = _signing_key(caller, identity, msgspec.json.decode(known) if known else None)
            fresh = _checked(caller, signer, "one_time_keys", one_time)
            spare = _checked(caller, signer, "fallback_keys", fallback)
            if identity is not None:
                text = _text(identity)
                if text != known:
                    keys.save_identity(conn, caller.user, caller.device, text)
                    keys.touch_list(conn, caller.user)
            self._add(conn, caller, fresh)
            for key in spare:
                keys.save_fallback_key(conn, caller.device, key)
            return keys.counts(conn, [caller.device]).get(caller.device, Counts({}, [])).one_time

    @staticmethod
    def _add(conn: Connection, caller: Identity, fresh: Sequence[Key]) -> None:
        known = keys.known_one_time_keys(conn, caller.device, fresh)
        for key in fresh:
            if known.get((key.algorithm, key.id), key.text) != key.text:
                raise Conflict(f"another key was uploaded as {key.algorithm}:{key.id}")
        keys.add_one_time_keys(conn, caller.user, caller.device, fresh)
        waiting = sum(keys.counts(conn, [caller.device]).get(caller.device, Counts({}, [])).one_time.values())
        if waiting > MAX_ONE_TIME_KEYS:
            raise _bad("one_time_keys", f"a device may have at most {MAX_ONE_TIME_KEYS} keys waiting")

    def query(self, caller: Identity, wanted: Mapping[str, Sequence[str]]) -> Json:
        """Identities of devices: user → device → its signed keys. People who share no conversation are left out."""
        users = _users("device_keys", wanted)
        only = {user: {device_of(name) for name in wanted[user_name(user)]} for user in users}
        with self._db.transaction() as conn:
            reachable = keys.reachable(conn, caller.user, users)
            found = keys.query(conn, [d for u, d in reachable if not only[u] or d in only[u]])
        answer: dict[str, Json] = {user_name(user): {} for user, _ in reachable}
        for one in found:
            shown = msgspec.json.decode(one.text, type=dict[str, Any])
            shown["unsigned"] = {"device_display_name": one.name}
            answer[user_name(one.user)][device_name(one.device)] = shown
        return answer

    def claim(self, caller: Identity, wanted: Mapping[str, Mapping[str, str]]) -> Json:
        """One key of each named device: user → device → key name → key. Who has none, or must not be seen, is left out.

        Raises InvalidRequest, or TooMany for a claimer that asks for more than sessions need.
        """
        users = _users("one_time_keys", wanted)
        asked = {
            (user, _device("one_time_keys", name)): algorithm
            for user in users
            for name, algorithm in wanted[user_name(user)].items()
        }
        if len(asked) > MAX_TARGETS:
            raise _bad("one_time_keys", f"at most {MAX_TARGETS} devices at a time")
        self._of_claimer.spend(f"claimer:{caller.user}", cost=max(1, len(asked)))
        self._of_target.spend(*(f"{caller.user}:{device}" for _, device in asked))
        with self._db.transaction() as conn:
            reachable = [pair for pair in keys.reachable(conn, caller.user, users) if pair in asked]
            claimed = keys.claim(conn, [(device, asked[user, device]) for user, device in reachable])
            devices.note_event(conn, [one.device for one in claimed], DeviceEventKind.KEYS)
        owner = {device: user for user, device in reachable}
        answer: dict[str, Json] = defaultdict(dict)
        for one in claimed:
            key = {f"{one.key.algorithm}:{one.key.id}": msgspec.json.decode(one.key.text)}
            answer[user_name(owner[one.device])][device_name(one.device)] = key
            self._claimed["fallback" if one.fallback else "one_time"].add()
        self._claimed["none"].add(len(reachable) - len(claimed))
        return answer

    def changes(self, caller: Identity, since: str) -> tuple[list[UserId], list[UserId]]:
        """(whose devices changed, who shares no conversation any more) since a position of the log."""
        with self._db.transaction() as conn:
            return keys.changes(conn, caller.user, since)

    def counts(self, wanted: Iterable[DeviceId]) -> dict[DeviceId, Counts]:
        """What these devices still have, as far as they have an identity."""
        with self._db.statement() as conn:
            return keys.counts(conn, list(wanted))

    def forget_claimed(self) -> None:
        """Housekeeping: drop the marks of keys that were handed out long ago."""
        with self._db.statement() as conn:
            keys.forget_claimed(conn)


def _bad(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", [{"field": field, "problem": problem}])


def _text(value: Json) -> str:
    # In one order, so that the same object is recognised however its fields came.
    return msgspec.json.encode({k: v for k, v in value.items() if k != "unsigned"}, order="sorted").decode()


def _users(field: str, wanted: Mapping[str, object]) -> list[UserId]:
    if len(wanted) > MAX_TARGETS:
        raise _bad(field, f"at most {MAX_TARGETS} people at a time")
    return [user_named(field, name) for name in wanted]


def user_named(field: str, name: str) -> UserId:
    """The id in a name; raises InvalidRequest naming the field."""
    user = user_of(name)
    if user is None:
        raise _bad(field, f"{name[:80]!r} is no name of a user such as {user_name(UserId(12))}")
    return user


def _device(field: str, name: str) -> DeviceId:
    device = device_of(name)
    if device is None:
        raise _bad(field, f"{name[:80]!r} is no id of a device")
    return device


def _signing_key(caller: Identity, new: Json | None, known: Json | None) -> bytes | None:
    """The device's Ed25519 key: of the identity that is uploaded, which must be the one that is known, or of that."""
    if new is None:
        return decode_key(known["keys"][f"ed25519:{caller.device}"]) if known else None
    user, device = user_name(caller.user), device_name(caller.device)
    if new.get("user_id") != user or new.get("device_id") != device:
        raise _bad("device_keys", f"must name user_id {user} and device_id {device}: they are the caller's")
    if len(_text(new)) > MAX_IDENTITY_CHARS:
        raise _bad("device_keys", f"may have at most {MAX_IDENTITY_CHARS} characters")
    algorithms, public = new.get("algorithms"), new.get("keys")
    if not isinstance(algorithms, list) or not all(isinstance(name, str) for name in algorithms):
        raise _bad("device_keys.algorithms", "must be a list of names")
    if not isinstance(public, dict):
        raise _bad("device_keys.keys", "must be an object")
    for name in (f"ed25519:{device}", f"curve25519:{device}"):
        if decode_key(public.get(name)) is None:
            raise _bad("device_keys.keys", f"{name} must be a public key of 32 bytes in unpadded base64")
    signer = decode_key(public[f"ed25519:{device}"])
    if signer is None or not _signed_by(caller, signer, new):
        raise _bad("device_keys.signatures", "the device's own signature is missing or does not fit")
    if known is not None and known["keys"] != public:
        raise Conflict("this device has another identity; one that lost its keys must be linked anew")
    return signer


def _signed_by(caller: Identity, signer: bytes, value: Json) -> bool:
    return is_signed(value, user_name(caller.user), f"ed25519:{caller.device}", signer)


def _checked(caller: Identity, signer: bytes | None, field: str, named: Mapping[str, Json]) -> list[Key]:
    """The keys under these names, each with a signature that fits. Raises InvalidRequest."""
    if not named:
        return []
    if signer is None:
        raise _bad("device_keys", "must be uploaded before other keys")
    check: Callable[[str, Json], bool] = lambda name, value: (  # noqa: E731
        _KEY_NAME.fullmatch(name) is not None
        and decode_key(value.get("key")) is not None
        and _signed_by(caller, signer, value)
    )
    # A hundred signatures take ten milliseconds, in which nobody else would be served.
    wrong = get_hub().threadpool.apply(lambda: [name for name, value in named.items() if not check(name, value)])
    if wrong:
        name = wrong[0][:80]
        raise _bad(f"{field}.{name}", f"must be {ONE_TIME_ALGORITHM}:ID, a key of 32 bytes signed by this device")
    return [Key(ONE_TIME_ALGORITHM, name.partition(":")[2], _text(value)) for name, value in named.items()]
